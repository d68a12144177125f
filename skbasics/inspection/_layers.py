"""What the hidden layers of a fitted network do with rows."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skbasics._arrays import SEED_BOUND, own_random_state
from skbasics._base import NetworkEstimator
from skbasics._training import PREDICTION_NUMBERS, dense_rows
from skbasics.inspection._layer_health import HiddenLayer, LayerHealth
from skbasics.inspection._subject import stand, subject
from skbasics.network import (
    ACTIVATIONS,
    Architecture,
    CallableActivation,
    Elementwise,
    LargestUnits,
    Layer,
)

STEEPEST = {"logistic": 0.25, "tanh": 1.0}
"""The largest derivative of activations that saturate."""

SATURATED = 0.01


def layer_health(
    estimator: Any,
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    random_state: Any = None,
) -> LayerHealth:
    r"""Look at the units of a fitted network, layer by layer: dead, saturated, sparse.

    A unit :math:`a = f(z)` passes the gradient on by its derivative :math:`f'(z)`. A unit is *dead*
    where :math:`a = f' = 0` for every row (and place of an image): a rectifier that is never on. An
    activation of "logistic" or "tanh" is *saturated* where :math:`f' < 0.01 \max f'`. A unit that
    is dead, and a layer that is saturated, do not learn.

    Given y, the norm of the gradient by each layer's weights is told too. Where that of the first
    layer is a thousandth of that of the last, the gradient vanishes on its way back. The estimator
    is not changed.

    Parameters
    ----------
    estimator : estimator
        A fitted network of the package; of a pipeline the last step counts, of a search the best
        estimator.
    X : array-like of shape (n_samples, n_features)
        Rows, as `predict` or `transform` takes them.
    y : array-like, default=None
        Their targets, for the gradient. A network without targets needs none.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, for the gradient.
    random_state : int, RandomState instance or None, default=None
        Draws the rows of the gradient's batch (the estimator's batch size at most), dropout and the
        like, where the estimator's own random state is None.

    Returns
    -------
    found : LayerHealth
        With a row for each layer that has an activation, and ``remarks``.

    Raises
    ------
    TypeError
        If the estimator is not a network of the package.
    NotFittedError
        If it is not fitted.
    ValueError
        For data that the estimator refuses.

    See Also
    --------
    check_gradients : Whether the gradient is right.

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skbasics import SGD, MLPClassifier, layer_health
    >>> X, y = load_digits(return_X_y=True)
    >>> network = MLPClassifier((50,), optimizer=SGD(0.05), max_iter=20, tol=0, random_state=0)
    >>> layer_health(network.fit(X, y), X, y).layers[0].n_dead > 0
    True
    >>> layer_health(network.fit(X / 16, y), X / 16, y).remarks
    []
    """
    draws = own_random_state(random_state)
    network, X, y = subject(estimator, X, y, "layer_health", draws)
    rows, _, learned = network._before_prediction(X, "layer_health")
    tallies = _tallies(network._structure.plain(), learned, rows)
    norms: tuple[float, ...] = ()
    if y is not None or not network._has_targets:
        norms = _gradient_norms(network, X, y, sample_weight, draws)
    layers = tuple(tally.row(norms) for tally in tallies)
    return LayerHealth(type(network).__name__, rows.shape[0], layers, norms)


class _Tally:
    """What is counted of the activations of a layer, a block of rows after the other."""

    def __init__(self, number: int, layer: Layer) -> None:
        self.number, self.activation = number, _named(layer)
        self.limit = SATURATED * STEEPEST.get(self.activation, math.nan)
        self.count, self.n_zero, self.n_saturated = 0, 0, 0
        self.total, self.slope = 0.0, 0.0
        self.alive: Tensor | bool = False

    def add(self, A: Tensor, slopes: Tensor) -> None:
        """Count activations ``(1, batch, units)`` or ``(1, batch, channels, height, width)``."""
        A, slopes = (values.movedim(2, -1).reshape(-1, values.shape[2]) for values in (A, slopes))
        self.alive = ((A != 0) | (slopes != 0)).any(0) | self.alive
        self.count += A.numel()
        self.n_zero += int((A == 0).sum())
        self.n_saturated += int((slopes < self.limit).sum())
        self.total += float(A.sum(dtype=torch.float64))
        self.slope += float(slopes.sum(dtype=torch.float64))

    def row(self, norms: tuple[float, ...]) -> HiddenLayer:
        """Return the row of the table, with the gradient of the weights before the layer."""
        return HiddenLayer(
            self.number,
            self.activation,
            len(self.alive),
            int((~self.alive).sum()),
            math.nan if math.isnan(self.limit) else self.n_saturated / self.count,
            self.total / self.count,
            self.slope / self.count,
            self.n_zero / self.count,
            norms[self.number - 1] if norms else math.nan,
        )


def _tallies(architecture: Architecture, learned: tuple[Tensor, Tensor], rows: Any) -> list[_Tally]:
    """Return what is counted of every layer that is an activation."""
    tallies: dict[int, _Tally] = {}
    n_rows = max(1, PREDICTION_NUMBERS // architecture.n_units)
    for start in range(0, rows.shape[0], n_rows):
        X = dense_rows(rows, slice(start, start + n_rows), learned[0])[None]
        for place, number, layer, Z, A in _activations(architecture, learned, X):
            tally = tallies.setdefault(place, _Tally(number, layer))
            tally.add(A, _derivatives(layer, Z, A))
    return list(tallies.values())


@torch.no_grad()
def _activations(
    architecture: Architecture, learned: tuple[Tensor, Tensor], X: Tensor
) -> list[tuple[int, int, Layer, Tensor, Tensor]]:
    """Return the place of each activation, the number of its weights, it, its input and output."""
    theta, statistics = learned
    parts = zip(architecture.split(theta), architecture.split_statistics(statistics), strict=True)
    number, found = 0, []
    for place, (layer, (own, kept)) in enumerate(zip(architecture.layers, parts, strict=True)):
        number += any(shape.name == "coef" for shape in layer.parameter_shapes)
        before, X = X, layer.apply(own, kept, X)
        if isinstance(layer, (Elementwise, CallableActivation, LargestUnits)):
            found.append((place, number, layer, before, X))
    return found


def _derivatives(layer: Layer, Z: Tensor, A: Tensor) -> Tensor:
    """Return how each activation changes with its own input."""
    if isinstance(layer, LargestUnits):
        return (A > 0).to(A.dtype)
    with torch.enable_grad():
        Z = Z.detach().requires_grad_()
        (slopes,) = torch.autograd.grad(layer.apply([], [], Z).sum(), Z)
    return slopes


def _named(layer: Layer) -> str:
    """Return the name of an activation, as the estimator's parameters have it."""
    if isinstance(layer, LargestUnits):
        return "topk"
    if isinstance(layer, CallableActivation):
        return getattr(layer.function, "__name__", type(layer.function).__name__)
    return next(name for name, kind in ACTIVATIONS.items() if kind is layer.activation)


@torch.no_grad()
def _gradient_norms(
    network: NetworkEstimator, X: Any, y: Any, sample_weight: Any, draws: np.random.RandomState
) -> tuple[float, ...]:
    """Return the norms of the gradient by the weights of each layer, on the batch of a step."""
    run, batch = stand(network, X, y, sample_weight, double=False)
    run.objective.seed_epoch([np.random.RandomState(draws.randint(SEED_BOUND))])
    run.objective.gradient(batch)
    slots = sorted(run.network.architecture.slots, key=lambda slot: slot.layer)
    weights = [slot.view(run.network.gradient) for slot in slots if slot.name == "coef"]
    return tuple(float(torch.linalg.vector_norm(part)) for part in weights)
