"""Fits that several processes make together, and one process on the rows of all."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone

from skbasics import (
    SGD,
    Adam,
    Adaptive,
    Autoencoder,
    AvgPool2d,
    Conv2d,
    ConvNetClassifier,
    ConvNetRegressor,
    Cosine,
    ExponentialDecay,
    Huber,
    InverseScaling,
    LocalResponseNorm,
    MaxPool2d,
    MLPClassifier,
    MLPRegressor,
    NormalWeights,
    OneCycle,
    Quantile,
    SparseAutoencoder,
    VAETransformer,
)

UNEVEN = (23, 2, 12)
"""Rows of three ranks: of most batches the second has none."""

HALVES = (9, 28)


@dataclass(frozen=True)
class Case:
    """A fit, and how the rows are shared out."""

    name: str
    estimator: BaseEstimator
    kind: str = "classes"
    weights: str = ""
    sizes: tuple[int, ...] = UNEVEN
    held_out: bool = False
    more: dict[str, Any] = field(default_factory=dict)

    def data(self) -> list[np.ndarray | None]:
        """Return X, y and the weights of all rows."""
        random_state = np.random.RandomState(3)
        n_rows = sum(self.sizes)
        X = random_state.normal(size=(n_rows, 4))
        y = DATA[self.kind](X, random_state)
        if self.kind == "pixels":
            X, y = random_state.randint(256, size=(n_rows, 6, 6, 2)).astype(np.uint8), y
        elif self.kind in ("images", "kinds"):
            X = random_state.normal(size=(n_rows, 6, 6, 2))
        elif self.kind in ("rows", "gaps", "shares"):
            X, y = y, None
        weights = random_state.gamma(2, size=n_rows) if self.weights else None
        if self.weights == "zeros":
            weights[::5] = 0
        return [X, y, weights]

    def part(self, rank: int) -> dict[str, np.ndarray | None]:
        """Return what a rank passes to `fit`."""
        start = sum(self.sizes[:rank])
        return self._named(slice(start, start + self.sizes[rank]))

    def _named(self, rows: slice) -> dict[str, np.ndarray | None]:
        X, y, weights = (None if a is None else a[rows] for a in self.data())
        if self.weights == "one rank" and rows.start == 0 and rows.stop != sum(self.sizes):
            weights = None
        given = {"X": X, "y": y, "sample_weight": weights}
        if self.held_out:
            given |= {"X_val": X[:2] + 0.1, "y_val": y[:2]}
        return given

    def alone(self) -> BaseEstimator:
        """Return the fit of one process on the rows of all ranks."""
        return clone(self.estimator).fit(**self.whole())

    def whole(self) -> dict[str, np.ndarray | None]:
        """Return the rows of all ranks."""
        parts = [self.part(rank) for rank in range(len(self.sizes))]
        ones = [np.ones(size) for size in self.sizes]
        weights = [part["sample_weight"] for part in parts]
        if any(w is not None for w in weights):
            for part, w, one in zip(parts, weights, ones, strict=True):
                part["sample_weight"] = one if w is None else w
        return {
            name: None if value is None else np.concatenate([part[name] for part in parts])
            for name, value in parts[0].items()
        }


def _gaps(X, random_state):
    """Return rows of which the last ranks' have values missing."""
    rows = X @ random_state.normal(size=(4, 6)) + 3
    rows[-8:, 1:3] = np.nan
    rows[:, 5] = 1.5
    return rows


DATA = {
    "classes": lambda X, state: np.array(["a", "b", "c"])[state.randint(3, size=len(X))],
    "two": lambda X, state: X[:, 0] > 0,
    "labels": lambda X, state: state.randint(2, size=(len(X), 3)),
    "numbers": lambda X, state: X @ [1.0, -1, 0.5, 0] + state.normal(size=len(X)),
    "counts": lambda X, state: state.poisson(2, size=len(X)),
    "several": lambda X, state: X @ state.normal(size=(4, 2)),
    "pixels": lambda X, state: state.randint(3, size=len(X)),
    "kinds": lambda X, state: state.randint(3, size=len(X)),
    "images": lambda X, state: state.normal(size=len(X)),
    "rows": lambda X, state: X @ state.normal(size=(4, 6)) + 3,
    "gaps": _gaps,
    "shares": lambda X, state: state.uniform(size=(len(X), 6)),
}

_QUICK = {"batch_size": 8, "max_iter": 3, "random_state": 0}
_STOPS = _QUICK | {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 1}
_IMAGE = {"batch_size": 8, "max_iter": 2, "random_state": 0}
_FILTERS = (
    Conv2d(4, (3, 3), padding="same"),
    LocalResponseNorm(size=3),
    MaxPool2d((2, 2)),
    Conv2d(4, (2, 2), groups=2),
    AvgPool2d((2, 2)),
)


def _classifier(name, kind="classes", weights="", sizes=UNEVEN, held_out=False, **parameters):
    mlp = MLPClassifier(**{"hidden_layer_sizes": (6,)} | _QUICK | parameters)
    return Case(f"MLPClassifier, {name}", mlp, kind, weights, sizes, held_out)


def _regressor(name, kind="numbers", **parameters):
    mlp = MLPRegressor(**{"hidden_layer_sizes": (6,), "activation": "tanh"} | _QUICK | parameters)
    return Case(f"MLPRegressor, {name}", mlp, kind)


_SCHEDULES = {
    "inverse": InverseScaling(0.1),
    "exponential": ExponentialDecay(0.1, 0.9),
    "cosine": Cosine(0.1),
    "one cycle": OneCycle(0.1),
}
_RULES = ("gd", "sgd", "momentum", "nag", "rmsprop", "adam", "adamw")
_EVERYTHING = {"hidden_layer_sizes": (6, 5, 4), "batch_norm": True, "dropout": 0.3}

CASES = [
    _classifier("three classes"),
    _classifier("two ranks", sizes=HALVES),
    _classifier("two classes", "two", alpha=0.5),
    _classifier("labels", "labels"),
    _classifier("weights", weights="zeros"),
    _classifier("weights on two ranks of three", weights="one rank"),
    _classifier("class weights", class_weight={"a": 0.0, "b": 2.0}, weights="all"),
    _classifier("balanced", class_weight="balanced"),
    _classifier("batch norm", batch_norm=True),
    _classifier("batch norm, two ranks", sizes=HALVES, batch_norm=True, dropout=0.5),
    _classifier("batch norm, weights", weights="all", batch_norm=True),
    _classifier("dropout", dropout=0.4),
    _classifier("everything", weights="zeros", **_EVERYTHING, alpha=0.1),
    _classifier("early stopping", **_STOPS | {"max_iter": 9}),
    _classifier("early stopping, everything", weights="all", **_STOPS | _EVERYTHING),
    _classifier("validation rows", held_out=True, **_STOPS),
    _classifier("one batch", batch_size="auto", dropout=0.2, **{"batch_norm": True}),
    _classifier("in order", shuffle=False),
    _classifier("settled", **{"max_iter": 50, "tol": 0.1, "n_iter_no_change": 2}),
    _classifier("warm start, first", warm_start=True),
    *(_regressor(rule, optimizer=rule) for rule in _RULES),
    *(_regressor(name, optimizer=SGD(rate)) for name, rate in _SCHEDULES.items()),
    _regressor("rates cut", optimizer=SGD(Adaptive(0.1)), max_iter=9, tol=9, n_iter_no_change=1),
    _regressor("clipped", optimizer=Adam(0.1, max_gradient_norm=0.1)),
    _regressor("clipped nag", optimizer="nag", alpha=1.0),
    _regressor("huber", loss=Huber(delta=0.5)),
    _regressor("quantile", loss=Quantile(level=0.8), **_STOPS),
    _regressor("poisson", "counts", loss="poisson", **_STOPS),
    _regressor("several", "several", activation="gelu", **_STOPS),
    _regressor("linear", hidden_layer_sizes=()),
    Case(
        "ConvNetClassifier, everything",
        ConvNetClassifier(
            _FILTERS,
            hidden_layer_sizes=(5,),
            **_IMAGE,
            batch_norm=True,
            dropout=0.2,
            augment="shift",
        ),
        "kinds",
        "all",
    ),
    Case(
        "ConvNetRegressor, early stopping",
        ConvNetRegressor(
            _FILTERS, **_IMAGE | _STOPS, augment="flip", initial_weights=NormalWeights(0.1)
        ),
        "images",
    ),
    Case(
        "ConvNetClassifier, pixels",
        ConvNetClassifier(_FILTERS, optimizer="sgd", **_IMAGE),
        "pixels",
        sizes=HALVES,
    ),
    Case("Autoencoder", Autoencoder(2, (5,), **_QUICK), "rows"),
    Case(
        "Autoencoder, everything",
        Autoencoder(2, (5,), loss="bernoulli", **_STOPS, batch_norm=True, dropout=0.1, alpha=0.1),
        "shares",
        "all",
    ),
    *(
        Case(f"SparseAutoencoder, {way}", SparseAutoencoder(8, sparsity=way, **_QUICK), kind, w)
        for way, kind, w in [("kl", "rows", "all"), ("l1", "rows", ""), ("topk", "shares", "zeros")]
    ),
    Case("VAETransformer", VAETransformer(2, (5,), **_QUICK), "rows"),
    Case("VAETransformer, gaps", VAETransformer(2, (5,), **_STOPS), "gaps", "all"),
    Case("VAETransformer, noise", VAETransformer(2, (5,), noise_scale=0.5, **_QUICK), "gaps"),
    Case(
        "VAETransformer, everything",
        VAETransformer(
            2, (5,), likelihood="bernoulli", kl_warmup=2, free_bits=0.05, dropout=0.2, **_STOPS
        ),
        "shares",
        "all",
    ),
]
