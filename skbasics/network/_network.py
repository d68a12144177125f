"""A stack of K networks of one architecture, and what it minimises."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from skbasics._arrays import add_scaled_, check_size
from skbasics._derivatives import hessians
from skbasics._shards import Part
from skbasics.network._batch_norm import BatchNorm
from skbasics.network._layer import (
    Layer,
    ParameterShape,
    PricedLayer,
    RandomLayer,
    TrainingPass,
)
from skbasics.network._layers import CallableActivation, Dense, Dropout, Elementwise
from skbasics.network._losses import Loss


@dataclass(frozen=True)
class Slot:
    """Where a parameter lives: columns ``start:stop`` of theta, read as ``shape``."""

    layer: int
    name: str
    shape: tuple[int, ...]
    start: int
    stop: int

    def view(self, matrix: Tensor) -> Tensor:
        """Return the parameter of every replica, ``(K, *shape)``, as a view into `matrix`."""
        return matrix[:, self.start : self.stop].view(-1, *self.shape)


def _slots(asked: Sequence[tuple[int, ParameterShape]]) -> list[Slot]:
    slots, start = [], 0
    for layer, parameter in asked:
        stop = start + math.prod(parameter.shape)
        slots.append(Slot(layer, parameter.name, parameter.shape, start, stop))
        start = stop
    return slots


class Architecture:
    """The layers of a network and where each parameter lives in a row of theta.

    What weight decay touches comes first, so that decay, like every other operation of
    training, is one call on one block: ``[W_1, W_2, ..., b_1, b_2, ...]``. Running statistics
    have a row of their own.

    Attributes
    ----------
    n_parameters, n_decayed, n_statistics : int
        Lengths: of a row of theta, of its decayed beginning, of a row of statistics.
    n_units, widest : int
        How many numbers the layers compute of a row, all of them and the widest.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = list(layers)
        asked = [(i, p) for i, layer in enumerate(layers) for p in layer.parameter_shapes]
        kept = [(i, p) for i, layer in enumerate(layers) for p in layer.statistic_shapes]
        # sorted() is stable: within the two groups the layers keep their order.
        asked = sorted(asked, key=lambda pair: not pair[1].decays)
        self.slots, self.statistic_slots = _slots(asked), _slots(kept)
        self.n_parameters = self.slots[-1].stop if self.slots else 0
        check_size(self.n_parameters, "parameters")
        self.n_statistics = self.statistic_slots[-1].stop if kept else 0
        self.n_decayed = max(
            (s.stop for s, (_, p) in zip(self.slots, asked, strict=True) if p.decays), default=0
        )
        self.n_units = sum(layer.n_units for layer in layers)
        self.widest = max((layer.n_units for layer in layers), default=0)
        self._starts = [p.start for _, p in asked], [p.start for _, p in kept]

    def initial(self, like: Tensor, n_replicas: int) -> tuple[Tensor, Tensor]:
        """Return theta and the statistics with every parameter at its layer's start value."""
        theta = like.new_zeros(n_replicas, self.n_parameters)
        statistics = like.new_zeros(n_replicas, self.n_statistics)
        for slot, start in zip(self.slots, self._starts[0], strict=True):
            slot.view(theta).fill_(start)
        for slot, start in zip(self.statistic_slots, self._starts[1], strict=True):
            slot.view(statistics).fill_(start)
        return theta, statistics

    def split(self, theta: Tensor) -> list[list[Tensor]]:
        """Return each layer's parameters as views into theta."""
        return self._split(self.slots, theta)

    def split_statistics(self, statistics: Tensor) -> list[list[Tensor]]:
        """Return each layer's running statistics as views."""
        return self._split(self.statistic_slots, statistics)

    def _split(self, slots: list[Slot], matrix: Tensor) -> list[list[Tensor]]:
        views: list[list[Tensor]] = [[] for _ in self.layers]
        if slots:
            parts = matrix.split([slot.stop - slot.start for slot in slots], 1)
            for slot, part in zip(slots, parts, strict=True):
                views[slot.layer].append(part.view(-1, *slot.shape))
        return views

    def apply(
        self,
        theta: Tensor,
        statistics: Tensor,
        X: Tensor,
        *,
        training: TrainingPass | None = None,
        first: int = 0,
        n_layers: int | None = None,
    ) -> Tensor:
        """Compute the output as a pure function of theta, or a part of the way there.

        X is what comes before the layer number `first`, and the output that of the leading
        `n_layers`.
        """
        parameters, kept = self.split(theta), self.split_statistics(statistics)
        for i, layer in enumerate(self.layers[:n_layers]):
            X = X if i < first else layer.apply(parameters[i], kept[i], X, training)
        return X

    def priced(
        self, theta: Tensor, statistics: Tensor, X: Tensor, training: TrainingPass
    ) -> tuple[Tensor, Tensor]:
        """Compute the output and the K prices of the layers, as pure functions of theta."""
        parameters, kept = self.split(theta), self.split_statistics(statistics)
        prices = X.new_zeros(len(theta))
        for i, layer in enumerate(self.layers):
            if isinstance(layer, PricedLayer):
                prices = prices + layer.price(X, training)
            X = layer.apply(parameters[i], kept[i], X, training)
        return X, prices

    def to_module(
        self, theta: Tensor, statistics: Tensor, part: slice = slice(None)
    ) -> nn.Sequential:
        """Return the network of the only replica, or a part, as a torch module in eval mode."""
        layers = zip(self.layers, self.split(theta), self.split_statistics(statistics), strict=True)
        modules = [
            layer.to_module([p[0] for p in parameters], [s[0] for s in kept])
            for layer, parameters, kept in list(layers)[part]
        ]
        return nn.Sequential(*(module for module in modules if module is not None)).eval()


def activation_layer(activation: str | Callable) -> Layer:
    """Return the layer of an activation, by name or a torch function."""
    if isinstance(activation, str):
        return Elementwise(activation)
    return CallableActivation(activation)


def feed_forward(
    n_features: int,
    hidden_layer_sizes: Sequence[int],
    n_outputs: int,
    *,
    activation: str | Callable,
    dropout: Sequence[Sequence[float]] = (),
    batch_norm: bool = False,
) -> Architecture:
    """Return a feed-forward architecture that ends at the logits.

    ``dropout`` holds, for each hidden layer, the K replicas' drop probabilities; empty for
    none. A hidden layer is dense, batch normalisation, activation, dropout, in this order.
    """
    layers: list[Layer] = []
    fan_in = n_features
    for i, width in enumerate(hidden_layer_sizes):
        layers.append(Dense(fan_in, width))
        if batch_norm:
            layers.append(BatchNorm(width))
        layers.append(activation_layer(activation))
        if dropout and any(dropout[i]):
            layers.append(Dropout(dropout[i]))
        fan_in = width
    return Architecture([*layers, Dense(fan_in, n_outputs)])


class Network:
    """K networks in training: parameters, gradients and running statistics, a row each.

    Parameters
    ----------
    architecture : Architecture
    theta, statistics : Tensor of shape (K, n_parameters) and (K, n_statistics)
        Trained in place.
    """

    def __init__(self, architecture: Architecture, theta: Tensor, statistics: Tensor) -> None:
        self.architecture, self.theta, self.statistics = architecture, theta, statistics
        self.gradient = torch.zeros_like(theta)
        parameters = architecture.split(theta)
        gradients = architecture.split(self.gradient)
        kept = architecture.split_statistics(statistics)
        for layer, views in zip(
            architecture.layers, zip(parameters, gradients, kept, strict=True), strict=True
        ):
            layer.bind(*views)
        layers = architecture.layers
        self.random_layers = [layer for layer in layers if isinstance(layer, RandomLayer)]
        self.priced_layers = [layer for layer in layers if isinstance(layer, PricedLayer)]
        trained = [i for i, layer in enumerate(layers) if layer.parameter_shapes]
        self._first_trained = min(trained, default=len(layers))

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        """Return the logits ``(K, batch, n_outputs)`` in training mode."""
        for layer in self.architecture.layers:
            X = layer.forward(X, training)
        return X

    def backward(self, delta: Tensor | None) -> None:
        """Fill `gradient` from the gradient of the logits."""
        layers = self.architecture.layers
        for i in range(len(layers) - 1, self._first_trained - 1, -1):
            delta = layers[i].backward(delta, input_needed=i > self._first_trained)

    def begin_epoch(self, ages: Sequence[int]) -> None:
        """Tell the layers how many epochs each replica has behind it."""
        for layer in self.priced_layers:
            layer.ages = ages


HESSIAN_NUMBERS = 2**22
"""Activations that are differentiated at once for a Hessian: some tens of mebibytes."""


class BatchOfRows(Protocol):
    """What an objective must know of a batch; `_training.Batch` describes it."""

    X: Tensor
    y: Tensor
    weights: Tensor | None
    totals: float | Tensor
    sizes: list[int] | None
    part: Part | None


class NetworkObjective:
    r"""What training minimises, for each replica alone:

    .. math::
        L(\theta) = \frac{\sum_i w_i\, \ell(z_i, y_i) + \tfrac{\alpha}{2} \|W\|^2}{\sum_i w_i}

    with the sums over the batch and W all weights but no biases, plus the prices of layers that
    have one.

    Parameters
    ----------
    network : Network
    loss : Loss
    alpha : float or Tensor of shape (K, 1)
        The strength of the penalty.
    """

    def __init__(self, network: Network, loss: Loss, alpha: float | Tensor) -> None:
        self.network, self.loss_function, self.alpha = network, loss, alpha
        self.theta, self.theta_gradient = network.theta, network.gradient
        self.slots = network.architecture.slots
        self.n_decayed = network.architecture.n_decayed
        self._weights = self.theta[:, : self.n_decayed]
        self._weight_gradient = self.theta_gradient[:, : self.n_decayed]
        self._penalised = isinstance(alpha, Tensor) or alpha > 0

    def gradient(self, batch: BatchOfRows) -> Tensor:
        """Return the K losses of the batch and leave the gradient in `theta_gradient`."""
        training = self._training_pass(batch)
        Z = self.network.forward(batch.X, training)
        rows, delta = self.loss_function.rows_and_delta(Z, self._target(batch))
        self.network.backward(delta.mul_(training.shares))
        losses = self._mean(rows, training.shares)
        if training.part is not None:
            gradient, losses = training.sums(self.theta_gradient, losses)
            self.theta_gradient.copy_(gradient)
        if self._penalised:
            add_scaled_(self._weight_gradient, self._weights, self.alpha / batch.totals)
        self._record(losses, batch)
        return self._add_penalties(losses, self._weights, batch.totals)

    def loss(self, batch: BatchOfRows) -> Tensor:
        """Return the K losses of the batch, those that `gradient` returns."""
        training = self._training_pass(batch)
        Z = self.network.forward(batch.X, training)
        rows, _ = self.loss_function.rows_and_delta(Z, self._target(batch))
        (losses,) = training.sums(self._mean(rows, training.shares))
        return self._add_penalties(losses, self._weights, batch.totals)

    def hessian(self, batch: BatchOfRows) -> Tensor:
        """Return the K Hessians ``(K, P, P)`` of the batch's losses."""
        architecture = self.network.architecture
        losses = functools.partial(self._pure_losses, batch, self._training_pass(batch))
        n_activations = batch.X.shape[0] * batch.X.shape[1] * architecture.n_units
        return hessians(losses, self.theta, max(1, HESSIAN_NUMBERS // n_activations))

    def _pure_losses(self, batch: BatchOfRows, training: TrainingPass, theta: Tensor) -> Tensor:
        """Return the K losses of the batch as a pure function of theta."""
        network = self.network
        Z, prices = network.architecture.priced(theta, network.statistics, batch.X, training)
        losses = self._mean(self.loss_function.rows(Z, self._target(batch)), training.shares)
        return self._penalised_losses(losses + prices, theta[:, : self.n_decayed], batch.totals)

    @property
    def repeatable(self) -> bool:
        """Whether a second evaluation of a batch is the same as the first."""
        return not self.network.random_layers and self.network.architecture.n_statistics == 0

    def seed_epoch(self, random_states: Sequence[np.random.RandomState]) -> None:
        """Start the epoch's random draws; nothing is drawn where nothing is random."""
        for layer in self.network.random_layers:
            layer.seed(random_states, self.theta.device)

    def _training_pass(self, batch: BatchOfRows) -> TrainingPass:
        return TrainingPass(batch.weights, batch.sizes, _shares(batch), part=batch.part)

    def _target(self, batch: BatchOfRows) -> Tensor:
        return batch.y

    def _record(self, losses: Tensor, batch: BatchOfRows) -> None:
        """Take note of the mean losses of a batch, before anything is added to them."""

    def recorded(self) -> dict[str, list[float]]:
        """Return what was recorded since the last call, K means by name."""
        return {}

    @staticmethod
    def _mean(rows: Tensor, shares: float | Tensor) -> Tensor:
        """Return the mean of the rows' losses ``(K, batch)``."""
        return (rows * (shares[..., 0] if isinstance(shares, Tensor) else shares)).sum(1)

    def _add_penalties(self, losses: Tensor, weights: Tensor, totals: float | Tensor) -> Tensor:
        """Return K losses with the prices of layers and the penalty on weights."""
        for layer in self.network.priced_layers:
            losses = losses + layer.prices
        return self._penalised_losses(losses, weights, totals)

    def _penalised_losses(self, losses: Tensor, weights: Tensor, totals: float | Tensor) -> Tensor:
        if not self._penalised:
            return losses
        strength = self.alpha / totals / 2
        strength = strength[:, 0] if isinstance(strength, Tensor) else strength
        return losses + strength * torch.linalg.vecdot(weights, weights)


def _shares(batch: BatchOfRows) -> float | Tensor:
    """Return the weights of a batch's rows, ``(K, batch, 1)``, summing to one; or their number."""
    if batch.weights is None:
        return 1 / batch.totals
    return batch.weights / batch.totals[..., None]
