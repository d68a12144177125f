"""One small, quick specimen of every estimator, and what may be asked of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import has_fit_parameter

from skbasics import (
    PCA,
    UMAP,
    Autoencoder,
    Conv2d,
    ConvNetClassifier,
    ConvNetRegressor,
    CorrespondenceAnalysis,
    FastICA,
    MLPClassifier,
    MLPRegressor,
    OnlineMeanVar,
    ParametricUMAP,
    SparseAutoencoder,
    VAETransformer,
    VariationalClassifier,
    VariationalGaussianMixture,
    VariationalRegressor,
)

PREDICTIONS = ("predict", "predict_proba", "decision_function", "transform", "score_samples")
CLASSIFIERS = ("MLPClassifier", "ConvNetClassifier", "VariationalClassifier")
REGRESSORS = ("MLPRegressor", "ConvNetRegressor", "VariationalRegressor")
NETWORKS = ("MLP", "ConvNet", "Autoencoder", "SparseAutoencoder", "VAETransformer")


def outputs(fitted: BaseEstimator, X: Any) -> dict[str, Any]:
    """Return what every method of prediction makes of some rows."""
    return {name: getattr(fitted, name)(X) for name in PREDICTIONS if hasattr(fitted, name)}


@dataclass(frozen=True)
class Specimen:
    """An unfitted estimator under a name of its own."""

    name: str
    estimator: BaseEstimator

    @property
    def kind(self) -> str:
        return type(self.estimator).__name__

    @property
    def is_network(self) -> bool:
        """Whether it is trained by epochs as a network of the engine."""
        return self.kind.startswith(NETWORKS)

    @property
    def streams(self) -> bool:
        return hasattr(self.estimator, "partial_fit")

    @property
    def weighs(self) -> bool:
        return has_fit_parameter(self.estimator, "sample_weight")

    def new(self, **parameters: Any) -> BaseEstimator:
        return clone(self.estimator).set_params(**parameters)

    def data(self, n_rows: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray | None]:
        """Return positive rows of four features, and classes, numbers or nothing."""
        random_state = np.random.RandomState(seed)
        X = random_state.gamma(4.0, size=(n_rows, 4))
        if self.kind in CLASSIFIERS:
            return X, np.array(["a", "b", "c"])[np.arange(n_rows) % 3]
        if self.kind in REGRESSORS:
            return X, X @ [1.0, -1.0, 0.5, 0.0] + random_state.normal(size=n_rows)
        return X, None

    def fitted(self, **parameters: Any) -> BaseEstimator:
        """Return it fitted on its data, with some parameters changed."""
        return self.new(**parameters).fit(*self.data())

    outputs = staticmethod(outputs)


_QUICK = {"hidden_layer_sizes": (5,), "max_iter": 4, "batch_size": 8, "random_state": 0}
_CODES = {"n_components": 2, "max_iter": 4, "batch_size": 8, "random_state": 0}
_IMAGES = {"image_shape": (2, 2), "max_iter": 3, "batch_size": 8, "random_state": 0}
SPECIMENS = [
    Specimen("MLPClassifier", MLPClassifier(**_QUICK)),
    Specimen("MLPRegressor", MLPRegressor(**_QUICK)),
    Specimen("MLPClassifier, every option", MLPClassifier(**_QUICK, batch_norm=True, dropout=0.2)),
    Specimen(
        "MLPRegressor, lbfgs",
        MLPRegressor((5,), optimizer="lbfgs", max_iter=4, random_state=0),
    ),
    Specimen(
        "MLPRegressor, newton",
        MLPRegressor((2,), "tanh", optimizer="newton", max_iter=3, random_state=0),
    ),
    Specimen("ConvNetClassifier", ConvNetClassifier([Conv2d(3, (2, 1))], **_IMAGES)),
    Specimen("ConvNetRegressor", ConvNetRegressor([Conv2d(3, (2, 1))], **_IMAGES)),
    Specimen("Autoencoder", Autoencoder(**_CODES)),
    Specimen("SparseAutoencoder", SparseAutoencoder(**_CODES | {"n_components": 6})),
    Specimen("VAETransformer", VAETransformer(hidden_layer_sizes=(5,), **_CODES)),
    Specimen("PCA", PCA()),
    Specimen("FastICA", FastICA(random_state=0)),
    Specimen("CorrespondenceAnalysis", CorrespondenceAnalysis()),
    Specimen("OnlineMeanVar", OnlineMeanVar(with_covariance=True)),
    Specimen("UMAP", UMAP(n_neighbors=5, n_epochs=5, random_state=0)),
    Specimen(
        "ParametricUMAP",
        ParametricUMAP((5,), n_neighbors=5, max_iter=2, random_state=0),
    ),
    Specimen("VariationalRegressor", VariationalRegressor()),
    Specimen("VariationalClassifier", VariationalClassifier()),
    Specimen(
        "VariationalRegressor, a network",
        VariationalRegressor((3,), "tanh", max_iter=5, random_state=0),
    ),
    Specimen(
        "VariationalClassifier, mean field",
        VariationalClassifier(inference="mean_field", max_iter=5, random_state=0),
    ),
    Specimen("VariationalGaussianMixture", VariationalGaussianMixture(2, random_state=0)),
]
