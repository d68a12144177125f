"""AlexNet: the network that made convolution common, at any width."""

import math
from dataclasses import replace
from typing import Any

from skbasics.neural_network._convnet_classifier import ConvNetClassifier
from skbasics.neural_network._image_layers import NAMED_LAYERS, Conv2d
from skbasics.neural_network._initial_weights import NormalWeights
from skbasics.optim import Momentum

BATCH_SIZE = 128
WEIGHT_DECAY = 5e-4


def alexnet(*, width: float = 1.0, **overrides: Any) -> ConvNetClassifier:
    """Return a classifier configured as AlexNet.

    Five convolutions, the second, fourth and fifth in two groups, with local response
    normalisation and overlapping pooling; two hidden layers of 4096 units with dropout 0.5;
    weights drawn from a Gaussian of standard deviation 0.01; biases of one in the second,
    fourth and fifth convolution and the hidden layers; momentum 0.9 at a learning rate of 0.01,
    weight decay 0.0005, batches of 128. On 227 x 227 x 3 images and 1000 classes it has
    60,965,224 parameters.

    Parameters
    ----------
    width : float, default=1.0
        Factor of the filters and hidden units. The weights of a narrower network are drawn
        wider by its root, so that signals pass as they do in the full one. Images must have 67
        pixels a side or more.
    **overrides : dict
        Parameters of `ConvNetClassifier` that shall be different.

    Returns
    -------
    classifier : ConvNetClassifier
        Not fitted.

    Raises
    ------
    ValueError
        If `width` is not positive.

    Notes
    -----
    The paper's weights and biases leave the signal small at first: many thousands of steps pass
    before the loss falls. With few images start from wider weights, as in
    ``alexnet(width=1 / 16, initial_weights=NormalWeights(0.1))``, or from
    ``initial_weights="glorot"`` with Adam.

    References
    ----------
    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
    networks", NIPS 2012.

    Examples
    --------
    >>> from skbasics import alexnet
    >>> alexnet().layer_table((227, 227, 3), 1000).n_parameters
    60965224
    >>> alexnet(width=1 / 16, max_iter=20).hidden_layer_sizes
    (256, 256)
    """
    if not width > 0:
        raise ValueError(f"width must be a factor > 0 of the filters and units, got {width!r}.")
    units = max(1, round(4096 * width))
    parameters = {
        "layers": tuple(
            replace(layer, n_filters=_even(layer.n_filters * width))
            if isinstance(layer, Conv2d)
            else layer
            for layer in NAMED_LAYERS["alexnet"]
        ),
        "hidden_layer_sizes": (units, units),
        "dropout": 0.5,
        "initial_weights": NormalWeights(
            0.01 / math.sqrt(width), intercepts=(0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0)
        ),
        "optimizer": Momentum(0.01, 0.9),
        # The penalty is divided by the rows of a batch, the paper's decay is not.
        "alpha": WEIGHT_DECAY * BATCH_SIZE,
        "batch_size": BATCH_SIZE,
        "max_iter": 90,
    }
    return ConvNetClassifier(**(parameters | overrides))


def _even(n_filters: float) -> int:
    """Return a number of filters that two groups can share."""
    return max(2, 2 * round(n_filters / 2))
