"""Optimizers by name."""

from skbasics.optim._base import Optimizer
from skbasics.optim._first_order import (
    NAG,
    SGD,
    Adam,
    AdamW,
    GradientDescent,
    Momentum,
    RMSprop,
)
from skbasics.optim._lbfgs import LBFGS
from skbasics.optim._newton import Newton

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "gd": GradientDescent,
    "sgd": SGD,
    "momentum": Momentum,
    "nag": NAG,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
    "newton": Newton,
    "lbfgs": LBFGS,
}


def resolve_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer a name stands for, with its defaults; an object as it is.

    Raises
    ------
    ValueError
        If there is no optimizer of that name; the message lists those there are.
    """
    if isinstance(optimizer, type):
        value = f"{optimizer.__name__}()"
        if not issubclass(optimizer, Optimizer):
            value = f"TorchOptimizer({optimizer.__name__}, {{'lr': ...}})"
        raise ValueError(f"optimizer={optimizer.__name__} is a class; pass a value, {value}.")
    if not isinstance(optimizer, str):
        return optimizer
    if optimizer not in OPTIMIZERS:
        raise ValueError(
            f"Unknown optimizer {optimizer!r}. The names are {sorted(OPTIMIZERS)}; any other "
            "rule goes in as an object, such as TorchOptimizer(torch.optim.NAdam)."
        )
    return OPTIMIZERS[optimizer]()
