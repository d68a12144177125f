"""Initial weights, drawn in float64 from a seed and the shapes alone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from skbasics.network._convolution import Convolution
from skbasics.network._layers import Dense
from skbasics.network._network import Architecture


def glorot_uniform(
    architecture: Architecture, random_state: np.random.RandomState, factor: float
) -> np.ndarray:
    """Draw one row of initial weights in float64, in scikit-learn's order.

    Weights and biases of a dense layer are uniform on plus or minus
    ``sqrt(factor / (fan_in + fan_out))``. The draws are those that scikit-learn's MLP makes: it
    fills matrices ``(fan_in, fan_out)``. The fans of a convolution count its kernel's places.
    """
    row = _start(architecture)
    for layer, views in _weighted(architecture, row):
        bound = np.sqrt(factor / (layer.fan_in + layer.fan_out))
        for view in views:
            draws = random_state.uniform(-bound, bound, view.mT.shape[1:])
            view.copy_(torch.from_numpy(draws).mT)
    return row[0].numpy()


def gaussian(
    architecture: Architecture,
    random_state: np.random.RandomState,
    scale: float,
    intercepts: Sequence[float],
) -> np.ndarray:
    """Draw one row of weights from a Gaussian around zero; set each layer's biases."""
    row = _start(architecture)
    pairs = zip(_weighted(architecture, row), intercepts, strict=True)
    for (_, (weight, bias)), intercept in pairs:
        weight.copy_(torch.from_numpy(random_state.normal(0, scale, weight.shape)))
        bias.fill_(intercept)
    return row[0].numpy()


def _start(architecture: Architecture) -> Tensor:
    return architecture.initial(torch.zeros((), dtype=torch.float64), 1)[0]


def _weighted(
    architecture: Architecture, row: Tensor
) -> list[tuple[Dense | Convolution, list[Tensor]]]:
    """Return the layers that have weights, with views of their weights and biases."""
    pairs = zip(architecture.layers, architecture.split(row), strict=True)
    return [(layer, views) for layer, views in pairs if isinstance(layer, (Dense, Convolution))]
