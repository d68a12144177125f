"""Feed-forward and convolutional networks as classifiers and regressors."""

from skbasics.neural_network._alexnet import alexnet
from skbasics.neural_network._convnet_classifier import ConvNetClassifier
from skbasics.neural_network._convnet_regressor import ConvNetRegressor
from skbasics.neural_network._image_layers import (
    AvgPool2d,
    Conv2d,
    LocalResponseNorm,
    MaxPool2d,
)
from skbasics.neural_network._initial_weights import NormalWeights
from skbasics.neural_network._layer_table import LayerTable
from skbasics.neural_network._mlp import MLPClassifier, MLPRegressor

__all__ = [
    "AvgPool2d",
    "Conv2d",
    "ConvNetClassifier",
    "ConvNetRegressor",
    "LayerTable",
    "LocalResponseNorm",
    "MLPClassifier",
    "MLPRegressor",
    "MaxPool2d",
    "NormalWeights",
    "alexnet",
]
