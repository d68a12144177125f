"""What is trained: layers, losses, and stacks of networks over one parameter matrix."""

from skbasics.network._activations import ACTIVATIONS
from skbasics.network._batch_norm import BatchNorm
from skbasics.network._layer import TrainingPass
from skbasics.network._layers import CallableActivation, Dense, Dropout, Elementwise
from skbasics.network._losses import (
    LINKS,
    REGRESSION_LOSSES,
    AbsoluteError,
    BinaryCrossEntropy,
    CallableLoss,
    CrossEntropy,
    Huber,
    Loss,
    Poisson,
    Quantile,
    SquaredError,
    resolve_loss,
)
from skbasics.network._network import (
    Architecture,
    Network,
    NetworkObjective,
    feed_forward,
    glorot_uniform,
)

__all__ = [
    "ACTIVATIONS",
    "LINKS",
    "REGRESSION_LOSSES",
    "AbsoluteError",
    "Architecture",
    "BatchNorm",
    "BinaryCrossEntropy",
    "CallableActivation",
    "CallableLoss",
    "CrossEntropy",
    "Dense",
    "Dropout",
    "Elementwise",
    "Huber",
    "Loss",
    "Network",
    "NetworkObjective",
    "Poisson",
    "Quantile",
    "SquaredError",
    "TrainingPass",
    "feed_forward",
    "glorot_uniform",
    "resolve_loss",
]
