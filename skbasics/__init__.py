"""The machine-learning basics as scikit-learn estimators, trained by one engine on torch.

Importing the package loads nothing: a name is imported when it is first used.
"""

from importlib import import_module

__version__ = "0.1.0"

_PACKAGES = {
    "autoencoder": ["Autoencoder", "SparseAutoencoder", "VAETransformer"],
    "decomposition": ["PCA", "CorrespondenceAnalysis", "FastICA"],
    "distributed": ["data_parallel", "fit_blocks"],
    "inspection": [
        "GradientCheck",
        "LayerHealth",
        "LearningRateRange",
        "check_gradients",
        "layer_health",
        "learning_rate_range_test",
    ],
    "manifold": ["UMAP", "ParametricUMAP"],
    "model_selection": [
        "BiasVariance",
        "BiasVarianceCurve",
        "GridSearchCV",
        "RandomizedSearchCV",
        "bias_variance_curve",
        "bias_variance_decomposition",
        "cross_val_score",
        "cross_validate",
    ],
    "neural_network": [
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
    ],
    "network": ["AbsoluteError", "Huber", "Poisson", "Quantile", "SquaredError"],
    "optim": [
        "LBFGS",
        "NAG",
        "SGD",
        "Adam",
        "AdamW",
        "Adaptive",
        "Cosine",
        "ExponentialDecay",
        "GradientDescent",
        "InverseScaling",
        "Momentum",
        "Newton",
        "OneCycle",
        "RMSprop",
        "TorchOptimizer",
        "minimize",
    ],
    "pipeline": ["StreamPipeline"],
    "plots": [
        "BiasVarianceDisplay",
        "CorrespondenceDisplay",
        "EmbeddingDisplay",
        "FiltersDisplay",
        "LatentSpaceDisplay",
        "LossCurveDisplay",
        "ReconstructionDisplay",
        "TrajectoryDisplay",
    ],
    "stats": ["OnlineMeanVar"],
    "variational": [
        "VariationalClassifier",
        "VariationalGaussianMixture",
        "VariationalPosterior",
        "VariationalRegressor",
        "fit_variational",
        "gaussian_kl",
        "jeffreys",
        "jensen_shannon",
        "kl_divergence",
    ],
}
_HOMES = {name: package for package, names in _PACKAGES.items() for name in names}

__all__ = ["__version__", *_PACKAGES, *_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> object:
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
