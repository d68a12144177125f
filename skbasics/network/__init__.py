"""What is trained: layers, losses, and stacks of networks over one parameter matrix."""

from skbasics.network._activations import ACTIVATIONS
from skbasics.network._augmentation import AUGMENTATIONS, Augmentation
from skbasics.network._batch_norm import BatchNorm
from skbasics.network._convolution import Convolution, Flatten, Images, Pair, Shape
from skbasics.network._initial import gaussian, glorot_uniform
from skbasics.network._layer import Layer, TrainingPass
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
    activation_layer,
    feed_forward,
)
from skbasics.network._pooling import AveragePooling, MaxPooling
from skbasics.network._response_norm import ResponseNorm

__all__ = [
    "ACTIVATIONS",
    "AUGMENTATIONS",
    "LINKS",
    "REGRESSION_LOSSES",
    "AbsoluteError",
    "Architecture",
    "Augmentation",
    "AveragePooling",
    "BatchNorm",
    "BinaryCrossEntropy",
    "CallableActivation",
    "CallableLoss",
    "Convolution",
    "CrossEntropy",
    "Dense",
    "Dropout",
    "Elementwise",
    "Flatten",
    "Huber",
    "Images",
    "Layer",
    "Loss",
    "MaxPooling",
    "Network",
    "NetworkObjective",
    "Pair",
    "Poisson",
    "Quantile",
    "ResponseNorm",
    "Shape",
    "SquaredError",
    "TrainingPass",
    "activation_layer",
    "feed_forward",
    "gaussian",
    "glorot_uniform",
    "resolve_loss",
]
