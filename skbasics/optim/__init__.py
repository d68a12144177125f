"""How it is trained: update rules and learning-rate schedules, as values."""

from skbasics.optim._base import FirstOrder, Optimizer
from skbasics.optim._first_order import (
    NAG,
    SGD,
    Adam,
    AdamW,
    GradientDescent,
    Momentum,
    RMSprop,
)
from skbasics.optim._registry import OPTIMIZERS, resolve_optimizer
from skbasics.optim._schedules import (
    Adaptive,
    Cosine,
    ExponentialDecay,
    InverseScaling,
    OneCycle,
    Schedule,
)
from skbasics.optim._torch import TorchOptimizer

__all__ = [
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
    "OneCycle",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "TorchOptimizer",
    "resolve_optimizer",
]
