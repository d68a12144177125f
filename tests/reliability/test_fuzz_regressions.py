"""What fuzzing once found, each failure in the words in which it is refused or answered now."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone

from skbasics import (
    PCA,
    UMAP,
    CorrespondenceAnalysis,
    FastICA,
    MLPClassifier,
    MLPRegressor,
    ParametricUMAP,
    VariationalClassifier,
    VariationalGaussianMixture,
    VariationalRegressor,
)
from skbasics.manifold._forces import fitted_curve
from tests.reliability.specimens import SPECIMENS

EACH = pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
X, Y = np.random.RandomState(0).gamma(4.0, size=(24, 4)), np.arange(24) % 3


def quick(cls, **parameters):
    return cls(hidden_layer_sizes=(5,), max_iter=2, random_state=0, **parameters)


# What is passed.


@EACH
def test_hidden_entries_of_a_masked_array_are_not_taken_for_data(specimen):
    rows, y = specimen.data()
    masked = np.ma.masked_array(rows, mask=np.eye(*rows.shape, dtype=bool))
    with pytest.raises(ValueError, match=r"X is a masked array with 4 hidden entries, which"):
        specimen.new().fit(masked, y)


@pytest.mark.parametrize("of", ["y", "sample_weight"])
def test_a_mask_of_targets_and_weights_is_not_overlooked(of):
    given = {"y": Y, "sample_weight": np.ones(24)}
    given[of] = np.ma.masked_array(given[of], mask=np.arange(24) < 2)
    with pytest.raises(ValueError, match=f"{of} is a masked array with 2 hidden entries"):
        quick(MLPClassifier).fit(X, **given)


MASKED = np.ma.masked_array(X[:, :2], mask=np.arange(24)[:, None] < [1, 0])


@pytest.mark.parametrize("target_metric", ["categorical", "euclidean"])
def test_a_mask_of_the_targets_of_a_map_is_not_overlooked(target_metric):
    y = np.ma.masked_array(Y, mask=np.arange(24) < 2)
    with pytest.raises(ValueError, match="y is a masked array with 2 hidden entries"):
        UMAP(n_neighbors=5, n_epochs=5, target_metric=target_metric).fit(X, y)


def test_a_mask_of_first_places_is_not_overlooked():
    with pytest.raises(ValueError, match="init is a masked array with 1 hidden entries"):
        UMAP(n_neighbors=5, n_epochs=5, init=MASKED).fit(X)


@pytest.mark.parametrize(
    "specimen",
    [s for s in SPECIMENS if hasattr(s.new(), "inverse_transform")],
    ids=lambda specimen: specimen.name,
)
def test_a_mask_of_codes_is_not_overlooked(specimen):
    rows, y = specimen.data()
    model = specimen.new()
    codes = np.asarray(model.fit(rows, y).transform(rows))
    masked = np.ma.masked_array(codes, mask=np.arange(codes.size).reshape(codes.shape) < 1)
    with pytest.raises(ValueError, match="X is a masked array with 1 hidden entries"):
        model.inverse_transform(masked)


def test_a_mask_of_new_columns_is_not_overlooked():
    table = np.abs(X)
    analysis = CorrespondenceAnalysis(2).fit(table)
    with pytest.raises(ValueError, match="X is a masked array with 1 hidden entries"):
        analysis.transform_columns(abs(MASKED))


@pytest.mark.filterwarnings("ignore:.*does not cover the posterior", "ignore:.*max_iter")
@pytest.mark.parametrize("of", ["y", "sample_weight"])
@pytest.mark.parametrize(
    "kind", [MLPClassifier, MLPRegressor, VariationalClassifier, VariationalRegressor]
)
def test_a_score_does_not_overlook_a_mask(kind, of):
    fitted = kind(random_state=0)
    given = {"X": X, "y": Y, "sample_weight": np.ones(24)}
    fitted.fit(**given)
    expected = fitted.score(**given)
    given[of] = np.ma.masked_array(given[of])
    assert fitted.score(**given) == expected
    given[of][:2] = np.ma.masked
    with pytest.raises(ValueError, match=f"{of} is a masked array with 2 hidden entries"):
        fitted.score(**given)


def test_masks_in_a_list_of_rows_are_not_overlooked():
    rows = [np.ma.masked_array(row) for row in X]
    np.testing.assert_array_equal(PCA().fit(rows).components_, PCA().fit(X).components_)
    rows[3][1:3] = np.ma.masked
    words = (
        r"^X holds masked arrays with 2 hidden .* fill them: np\.ma\.stack\(X\)\.filled\(value\)"
    )
    with pytest.raises(ValueError, match=words):
        PCA().fit(rows)


def test_a_mask_that_hides_nothing_changes_nothing():
    plain, masked = PCA().fit(X), PCA().fit(np.ma.masked_array(X))
    np.testing.assert_array_equal(masked.components_, plain.components_)


@pytest.mark.parametrize("name", ["PCA", "MLPRegressor", "UMAP", "VariationalRegressor"])
def test_tensors_that_require_a_gradient_are_data_without_dispatch_too(name):
    specimen = next(s for s in SPECIMENS if s.name == name)
    rows, y = specimen.data()
    plain = specimen.new().fit(rows, y)
    tracked = specimen.new().fit(torch.from_numpy(rows).requires_grad_(), y)
    for kind, outputs in specimen.outputs(plain, rows).items():
        np.testing.assert_array_equal(specimen.outputs(tracked, rows)[kind], outputs)


def test_a_data_frame_of_foreign_byte_order_is_read():
    foreign = pd.DataFrame(X.astype(X.dtype.newbyteorder()))
    made = UMAP(n_neighbors=5, n_epochs=5, random_state=0)
    places = made.fit_transform(foreign).copy()
    np.testing.assert_array_equal(places, made.fit_transform(pd.DataFrame(X)))


@pytest.mark.parametrize("cls", [MLPRegressor, VariationalRegressor])
def test_words_are_no_targets_of_a_regressor(cls):
    message = rf"{cls.__name__} predicts numbers, and y has the dtype <U1\. Convert it"
    with pytest.raises(ValueError, match=message):
        cls().fit(X, np.array(["a", "b"] * 12))


def test_sparse_targets_are_for_classifiers():
    with pytest.raises(ValueError, match=r"y is sparse, and MLPRegressor takes dense targets"):
        MLPRegressor().fit(X, sp.csr_array(np.c_[Y, Y].astype(float)))


@pytest.mark.parametrize("name", ["PCA", "MLPClassifier", "CorrespondenceAnalysis"])
def test_weights_whose_sum_is_no_number(name):
    specimen = next(s for s in SPECIMENS if s.name == name)
    rows, y = specimen.data()
    with pytest.raises(ValueError, match=r"the sum of the weights is beyond float64"):
        specimen.new().fit(rows, y, sample_weight=np.full(24, 1e308))


# Devices.


@pytest.mark.parametrize(
    "specimen", [s for s in SPECIMENS if hasattr(s.estimator, "device")], ids=lambda s: s.name
)
def test_the_meta_device_has_no_numbers(specimen):
    with pytest.raises(ValueError, match=r"device='meta' cannot be used: Cannot copy out of meta"):
        specimen.fitted(device="meta")


# Parameters that are numbers of another kind, or beyond them.


def test_true_and_small_integers_are_numbers():
    one, true = (CorrespondenceAnalysis(n_components=k).fit(X).transform(X) for k in (1, True))
    np.testing.assert_array_equal(one, true)
    mixture = VariationalGaussianMixture(n_components=True, random_state=0).fit(X)
    assert mixture.weights_.shape == (1,)
    int8, plain = (quick(MLPRegressor, batch_size=b).fit(X, Y) for b in (np.int8(3), 3))
    np.testing.assert_array_equal(int8.predict(X), plain.predict(X))
    true, one = (quick(VariationalRegressor, n_samples=n).fit(X, Y) for n in (True, 1))
    np.testing.assert_array_equal(true.predict(X), one.predict(X))


@pytest.mark.filterwarnings("ignore:The Gaussian")
def test_a_scale_in_float32_is_a_number():
    model = VariationalClassifier(random_state=0)
    single, plain = (
        clone(model).set_params(prior_scale=scale).fit(X, Y) for scale in (np.float32(0.5), 0.5)
    )
    np.testing.assert_array_equal(single.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize("cls", [MLPRegressor, ParametricUMAP, VariationalRegressor])
@pytest.mark.parametrize("size", [10**16, 2**70])
def test_more_units_than_memory_holds(cls, size):
    with pytest.raises(MemoryError, match=r"parameters are more than memory holds"):
        cls(hidden_layer_sizes=size).fit(X, Y)


def test_more_coordinates_than_memory_holds():
    with pytest.raises(MemoryError, match=r"coordinates are more than memory holds"):
        UMAP(n_components=2**70).fit(X)


def test_a_penalty_beyond_the_dtype():
    with pytest.raises(ValueError, match=r"alpha=1e\+300 is beyond float32, in which this fit"):
        quick(MLPRegressor, alpha=1e300).fit(X.astype(np.float32), Y)


@pytest.mark.parametrize(("name", "optimizer"), [("alpha", "adam"), ("tol", "newton")])
def test_whole_numbers_beyond_int64_are_floats(name, optimizer):
    model = MLPRegressor((2,), "tanh", optimizer=optimizer, max_iter=2, random_state=0)
    whole, real = (
        clone(model).set_params(**{name: size}).fit(X, Y, sample_weight=Y + 1.0)
        for size in (2**70, 2.0**70)
    )
    np.testing.assert_array_equal(whole.predict(X), real.predict(X))


def test_a_penalty_in_float32_is_a_number():
    single, plain = (quick(MLPRegressor, alpha=a).fit(X, Y) for a in (np.float32(0.5), 0.5))
    np.testing.assert_array_equal(single.predict(X), plain.predict(X))


@pytest.mark.parametrize("name", ["input_noise", "local_connectivity"])
def test_large_whole_parameters_of_maps(name):
    made = (
        ParametricUMAP((5,), max_iter=1, random_state=0, **{name: k(2**70)}) for k in (int, float)
    )
    whole, real = (each.fit_transform(X) for each in made)
    np.testing.assert_array_equal(whole, real)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
@pytest.mark.parametrize("hidden_layer_sizes", [(), (3,)])
def test_scales_whose_powers_are_no_numbers(scale, hidden_layer_sizes):
    model = VariationalClassifier(hidden_layer_sizes, prior_scale=scale)
    with pytest.raises(ValueError, match=r"prior_scale=1e[-+]300 is beyond the scales"):
        model.fit(X, Y)
    with pytest.raises(ValueError, match=r"noise_scale=1e[-+]300 is beyond the scales"):
        VariationalRegressor(hidden_layer_sizes, noise_scale=scale).fit(X, Y)


def test_arrays_among_the_parameters_that_are_no_numbers():
    with pytest.raises(ValueError, match=r"covariance_prior must be an array of numbers, got"):
        VariationalGaussianMixture(covariance_prior=["word"]).fit(X)
    with pytest.raises(ValueError, match=r"mean_prior must be an array of numbers, got"):
        VariationalGaussianMixture(mean_prior=[[1.0], [1.0, 2.0]]).fit(X)
    with pytest.raises(ValueError, match=r"w_init must be an array of numbers, got"):
        FastICA(w_init=["word"]).fit(X)


def test_set_params_sets_all_or_nothing():
    model = MLPRegressor(optimizer="lbfgs")
    before = dict(vars(model))
    with pytest.raises((TypeError, ValueError), match="learning_rate"):
        model.set_params(alpha=7.0, optimizer__learning_rate=0.1)
    assert vars(model) == before


def test_what_is_no_optimizer_has_no_learning_rate():
    with pytest.raises(ValueError, match=r"optimizer=2 has no parameters, so optimizer__learning_"):
        MLPRegressor(optimizer=2).set_params(optimizer__learning_rate=0.1)


# Numbers that overflow within.


def test_the_curve_of_a_map_scales_with_its_spread():
    for spread in (1e-3, 0.1, 10.0, 1e6):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            a, b = fitted_curve(spread, 0.1 * spread)
        unit_a, unit_b = fitted_curve(1.0, 0.1)
        assert b == pytest.approx(unit_b, rel=1e-6)
        assert a * spread ** (2 * b) == pytest.approx(unit_a, rel=1e-6)
    with pytest.raises(ValueError, match=r"spread=1e\+300 is a scale on which distances have no"):
        UMAP(spread=1e300).fit(X)


def test_a_layout_that_diverges():
    with pytest.raises(ValueError, match=r"The layout diverged: places were not finite in epoch"):
        UMAP(n_neighbors=5, n_epochs=5, learning_rate=1e300, random_state=0).fit(X)


def test_running_statistics_that_overflow():
    model = quick(MLPClassifier, batch_norm=True)
    with pytest.raises(ValueError, match=r"diverged: the running statistics were not finite"):
        model.fit(X * 1e300, Y)


@pytest.mark.parametrize("inference", ["full_rank", "mean_field"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.filterwarnings("ignore:The Gaussian")
def test_classes_of_rows_far_out_are_those_of_rows_less_far_out(inference, n_classes):
    model = VariationalClassifier(inference=inference).fit(X, Y % n_classes)
    near, far = model.predict_proba(X * 1e30), model.predict_proba(X * 1e300)
    assert np.isfinite(far).all()
    np.testing.assert_allclose(far, near, atol=1e-6)
