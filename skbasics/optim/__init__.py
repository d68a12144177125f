"""How it is trained: update rules and learning-rate schedules, as values; and `minimize`."""

from skbasics.optim._base import FirstOrder, Optimizer, Stepwise
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
from skbasics.optim._minimize import minimize
from skbasics.optim._newton import Newton
from skbasics.optim._registry import OPTIMIZERS, resolve_optimizer
from skbasics.optim._schedules import (
    Adaptive,
    Cosine,
    ExponentialDecay,
    InverseScaling,
    OneCycle,
    Schedule,
)
from skbasics.optim._state import OptimizerState
from skbasics.optim._torch import TorchOptimizer

__all__ = [
    "LBFGS",
    "NAG",
    "OPTIMIZERS",
    "SGD",
    "Adam",
    "AdamW",
    "Adaptive",
    "Cosine",
    "ExponentialDecay",
    "FirstOrder",
    "GradientDescent",
    "InverseScaling",
    "Momentum",
    "Newton",
    "OneCycle",
    "Optimizer",
    "OptimizerState",
    "RMSprop",
    "Schedule",
    "Stepwise",
    "TorchOptimizer",
    "minimize",
    "resolve_optimizer",
]
