"""What is trained: layers, losses, and stacks of networks over one parameter matrix."""

from skbasics.network._activations import ACTIVATIONS
from skbasics.network._augmentation import AUGMENTATIONS, Augmentation
from skbasics.network._batch_norm import BatchNorm
from skbasics.network._convolution import Convolution, Flatten, Images, Pair, Shape
from skbasics.network._initial import gaussian, glorot_uniform
from skbasics.network._latent import GaussianLatent, means_and_log_variances
from skbasics.network._layer import Layer, PricedLayer, RandomLayer, TrainingPass
from skbasics.network._layers import CallableActivation, Dense, Dropout, Elementwise
from skbasics.network._likelihoods import BernoulliLikelihood, GaussianLikelihood
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
    BatchOfRows,
    Network,
    NetworkObjective,
    Slot,
    activation_layer,
    feed_forward,
)
from skbasics.network._observation import FillMissing, NoiseScale, log_noise
from skbasics.network._pooling import AveragePooling, MaxPooling
from skbasics.network._reconstruction import ReconstructionObjective
from skbasics.network._response_norm import ResponseNorm
from skbasics.network._row_noise import mixed
from skbasics.network._sparsity import AbsoluteActivity, LargestUnits, MeanActivity, UnitColumns

__all__ = [
    "ACTIVATIONS",
    "AUGMENTATIONS",
    "LINKS",
    "REGRESSION_LOSSES",
    "AbsoluteActivity",
    "AbsoluteError",
    "Architecture",
    "Augmentation",
    "AveragePooling",
    "BatchNorm",
    "BatchOfRows",
    "BernoulliLikelihood",
    "BinaryCrossEntropy",
    "CallableActivation",
    "CallableLoss",
    "Convolution",
    "CrossEntropy",
    "Dense",
    "Dropout",
    "Elementwise",
    "FillMissing",
    "Flatten",
    "GaussianLatent",
    "GaussianLikelihood",
    "Huber",
    "Images",
    "LargestUnits",
    "Layer",
    "Loss",
    "MaxPooling",
    "MeanActivity",
    "Network",
    "NetworkObjective",
    "NoiseScale",
    "Pair",
    "Poisson",
    "PricedLayer",
    "Quantile",
    "RandomLayer",
    "ReconstructionObjective",
    "ResponseNorm",
    "Shape",
    "Slot",
    "SquaredError",
    "TrainingPass",
    "UnitColumns",
    "activation_layer",
    "feed_forward",
    "gaussian",
    "glorot_uniform",
    "log_noise",
    "means_and_log_variances",
    "mixed",
    "resolve_loss",
]
