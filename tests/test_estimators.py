"""scikit-learn's checks on every estimator: all that are yielded, and those that are not."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.utils import estimator_checks as checks
from sklearn.utils.estimator_checks import estimator_checks_generator

import skbasics
from skbasics import (
    PCA,
    UMAP,
    Autoencoder,
    AvgPool2d,
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
from tests.checks import run_check

NETWORKS = [
    MLPClassifier(),
    MLPRegressor(),
    MLPClassifier((10,), optimizer="lbfgs", alpha=1.0),
    MLPRegressor((10,), optimizer="lbfgs"),
    MLPClassifier((3,), "tanh", optimizer="newton"),
    MLPRegressor((3,), "tanh", optimizer="newton"),
    ConvNetClassifier(),
    ConvNetRegressor(),
    ConvNetClassifier([Conv2d(8, (1, 3)), AvgPool2d((1, 2))], activation="tanh", batch_norm=True),
    ConvNetRegressor("lenet", hidden_layer_sizes=(20,), channels="first"),
]
AUTOENCODERS = [
    Autoencoder(),
    Autoencoder(1, (5,), "tanh", optimizer="lbfgs", max_iter=20),
    SparseAutoencoder(),
    SparseAutoencoder(12, sparsity="l1", sparsity_weight=0.1),
    SparseAutoencoder(6, optimizer="newton", max_iter=2),
    SparseAutoencoder(sparsity="topk", hidden_layer_sizes=(8,), batch_norm=True),
    VAETransformer(),
    VAETransformer(1, (), noise_scale=0.5, kl_warmup=5, free_bits=0.1),
]
MANIFOLDS = [
    UMAP(),
    UMAP(n_components=1, init="pca", metric="cosine", n_epochs=20),
    ParametricUMAP(),
    ParametricUMAP((5,), 1, "tanh", decoder=True, max_iter=5),
]
TRANSFORMERS = [
    *AUTOENCODERS,
    *MANIFOLDS,
    OnlineMeanVar(),
    OnlineMeanVar(with_covariance=True),
    FastICA(),
    FastICA(algorithm="deflation", ordered=True),
    FastICA(whiten=False),
    CorrespondenceAnalysis(),
    CorrespondenceAnalysis(1, scaling="standard"),
    CorrespondenceAnalysis(scaling="symmetric"),
    PCA(),
    PCA(svd_solver="covariance_eigh", whiten=True),
    PCA(1, svd_solver="randomized", power_iteration_normalizer="QR"),
]
BAYESIAN = [
    VariationalRegressor(),
    VariationalClassifier(),
    VariationalRegressor(inference="mean_field", noise_scale=0.5),
    VariationalClassifier(inference="mean_field", prior_scale="learned"),
    VariationalRegressor((5,), "tanh", max_iter=60),
    VariationalClassifier((5,), max_iter=60),
]
DENSITIES = [
    VariationalGaussianMixture(),
    VariationalGaussianMixture(2, inference="em", init_params="k-means++"),
    VariationalGaussianMixture(
        2, covariance_type="tied", weight_concentration_prior_type="dirichlet_distribution"
    ),
    VariationalGaussianMixture(3, covariance_type="diag", n_init=2, init_params="random"),
]
ESTIMATORS = NETWORKS + TRANSFORMERS + BAYESIAN + DENSITIES


def name(estimator):
    return type(estimator).__name__


def yielded():
    for estimator in ESTIMATORS:
        for i, (instance, check) in enumerate(estimator_checks_generator(estimator)):
            label = getattr(check, "func", check).__name__
            yield pytest.param(instance, check, id=f"{name(estimator)}-{i}-{label}")


@pytest.mark.parametrize(("estimator", "check"), list(yielded()))
@pytest.mark.filterwarnings("default")
def test_common_checks(estimator, check):
    """Every check passes; one may be skipped only for hardware that is not here."""
    run_check(check, estimator)


def test_no_tag_switches_checks_off():
    for estimator in ESTIMATORS:
        tags = estimator.__sklearn_tags__()
        off = (tags.no_validation, tags.non_deterministic, tags._skip_test)
        assert not any(off)
        assert tags.input_tags.two_d_array
        assert tags.array_api_support
        if estimator in NETWORKS + AUTOENCODERS:
            assert tags.input_tags.sparse != name(estimator).startswith("ConvNet")


UNYIELDED = [
    checks.check_param_validation,
    checks.check_inplace_ensure_writeable,
    checks.check_dataframe_column_names_consistency,
]
UNYIELDED_FOR_TRANSFORMERS = [
    checks.check_get_feature_names_out_error,
    checks.check_global_output_transform_pandas,
    checks.check_global_set_output_transform_polars,
    checks.check_set_output_transform,
    checks.check_set_output_transform_pandas,
    checks.check_set_output_transform_polars,
    checks.check_transformer_get_feature_names_out,
    checks.check_transformer_get_feature_names_out_pandas,
]


@pytest.mark.parametrize("check", UNYIELDED, ids=lambda check: check.__name__)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name)
@pytest.mark.filterwarnings("default")
def test_common_checks_that_are_not_yielded(estimator, check):
    check(name(estimator), clone(estimator))


@pytest.mark.parametrize("check", UNYIELDED_FOR_TRANSFORMERS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("estimator", TRANSFORMERS, ids=name)
@pytest.mark.filterwarnings("default")
def test_common_checks_of_transformers_that_are_not_yielded(estimator, check):
    check(name(estimator), clone(estimator))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name)
@pytest.mark.parametrize("namespace", ["torch", "array_api_strict"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("default")
def test_array_api_values_are_those_of_numpy(estimator, namespace, dtype):
    device = {"torch": "cpu", "array_api_strict": "CPU_DEVICE"}[namespace]
    checks.check_array_api_input_and_values(
        name(estimator), estimator, namespace, device_name=device, dtype_name=dtype
    )


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("estimator", NETWORKS + AUTOENCODERS, ids=name)
def test_cuda_tensors_and_numpy_on_cuda(estimator):
    checks.check_array_api_input(name(estimator), estimator, "torch", "cuda", "float32")
    X, y = load_iris(return_X_y=True)
    moved = clone(estimator).set_params(device="cuda", random_state=0, max_iter=5).fit(X, y)
    here = clone(estimator).set_params(random_state=0, max_iter=5).fit(X, y)
    assert isinstance(moved.coefs_[0], np.ndarray)
    np.testing.assert_allclose(moved.coefs_[0], here.coefs_[0], rtol=1e-6, atol=1e-9)
    loaded = pickle.loads(pickle.dumps(moved)).set_params(device=None)
    use = "predict" if estimator in NETWORKS else "transform"
    np.testing.assert_array_equal(getattr(loaded, use)(X), getattr(moved, use)(X))


@pytest.mark.filterwarnings("ignore:.*takes rows without image_shape")
@pytest.mark.parametrize("estimator", NETWORKS, ids=name)
def test_tensors_stay_tensors_everywhere(estimator):
    X, y = (torch.from_numpy(part) for part in load_iris(return_X_y=True))
    with config_context(array_api_dispatch=True):
        fitted = clone(estimator).set_params(max_iter=3).fit(X, y)
        assert isinstance(fitted.predict(X), torch.Tensor)
        assert all(isinstance(array, torch.Tensor) for array in fitted.coefs_)
        assert isinstance(fitted.hidden_features(X), torch.Tensor)
        stored = copy.deepcopy(fitted)
        fitted.set_params(optimizer="adam").partial_fit(X, y)
    assert isinstance(stored._theta, torch.Tensor)
    assert not torch.equal(stored._theta, fitted._theta)


@pytest.mark.parametrize("estimator", AUTOENCODERS, ids=name)
def test_tensors_stay_tensors_in_autoencoders(estimator):
    X = torch.from_numpy(load_iris().data)
    with config_context(array_api_dispatch=True):
        fitted = clone(estimator).set_params(max_iter=3).fit(X)
        codes = fitted.transform(X)
        results = [codes, fitted.inverse_transform(codes), fitted.reconstruct(X)]
        results += [fitted.score_samples(X), fitted.hidden_features(X), *fitted.coefs_]
        if isinstance(estimator, VAETransformer):
            results += [*fitted.posterior(X), fitted.log_likelihood(X), fitted.sample(2)]
            results += [fitted.kl_per_component_, fitted.active_units_]
        if isinstance(estimator, SparseAutoencoder):
            results += [fitted.activation_rate_, fitted.dead_units_]
        assert all(isinstance(result, torch.Tensor) for result in results)
        stored = copy.deepcopy(fitted)
        fitted.set_params(optimizer="adam").partial_fit(X)
    assert not torch.equal(stored._theta, fitted._theta)


def test_public_names_are_importable_flat_and_documented():
    for public in skbasics.__all__:
        member = getattr(skbasics, public)
        if isinstance(member, type):
            assert member.__doc__
            assert "Examples" in member.__doc__ or public in (
                "AbsoluteError",
                "SquaredError",
                "Poisson",
            )
    with pytest.raises(AttributeError, match="no attribute 'Perceptron'"):
        _ = skbasics.Perceptron
