"""OnlineMeanVar against exact rational arithmetic, NumPy and StandardScaler."""

import copy
import pickle
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils._testing import assert_allclose_dense_sparse

from skbasics import OnlineMeanVar

OFFSETS = [(0.0, 1e-14), (1e8, 1e-12), (1e12, 1e-10)]


def normal(n=500, p=4, offset=0.0, seed=0):
    return np.random.default_rng(seed).standard_normal((n, p)) + offset


def variance(column):
    values = [Fraction(float(value)) for value in column]
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)


def stream(X, size, sample_weight=None, **params):
    estimator = OnlineMeanVar(**params)
    for start in range(0, X.shape[0], size):
        rows = slice(start, start + size)
        weights = None if sample_weight is None else sample_weight[rows]
        estimator.partial_fit(X[rows], sample_weight=weights)
    return estimator


def state(estimator):
    """Return all that an estimator holds, to compare it before and after a failure."""
    return pickle.dumps(vars(estimator))


def same(a, b, tolerance=1e-12):
    for name in ("mean_", "var_", "scale_", "standard_error_", "n_samples_seen_"):
        expected = getattr(b, name)
        np.testing.assert_allclose(getattr(a, name), expected, tolerance, tolerance, err_msg=name)
    if a.with_covariance:
        np.testing.assert_allclose(a.covariance_, b.covariance_, tolerance, tolerance)


# Digits.


@pytest.mark.parametrize(("offset", "tolerance"), OFFSETS)
@pytest.mark.parametrize("size", [1, 40, 500])
@pytest.mark.parametrize("covariance", [False, True])
def test_variance_against_exact_arithmetic(offset, tolerance, size, covariance):
    X = normal(offset=offset)
    found = stream(X, size, with_covariance=covariance).var_
    for value, column in zip(found, X.T, strict=True):
        assert abs(float(Fraction(float(value)) / variance(column) - 1)) <= tolerance


def test_standard_scaler_loses_the_digits_we_keep():
    X = normal(2000, 1, offset=1e12)
    scaler = StandardScaler()
    for start in range(0, 2000, 100):
        scaler.partial_fit(X[start : start + 100])
    truth = float(variance(X[:, 0]))
    assert abs(scaler.var_[0] / truth - 1) > 1e-7
    assert abs(stream(X, 100).var_[0] / truth - 1) < 1e-14


def test_a_far_first_row_and_a_far_drift_cost_nothing():
    X = normal(2000, 1)
    X[0] = 1e6
    assert abs(stream(X, 1).var_[0] / float(variance(X[:, 0])) - 1) < 1e-13
    X = normal(2000, 1) + np.linspace(0, 1e9, 2000)[:, None]
    assert abs(stream(X, 10).var_[0] / float(variance(X[:, 0])) - 1) < 1e-13


def test_values_of_1e300_do_not_overflow():
    X = 1e300 * (1 + 1e-3 * np.sign(normal(1000, 2)))
    X[:, 1] = 1e300
    for estimator in (OnlineMeanVar().fit(X), stream(X, 100), stream(X, 1)):
        np.testing.assert_allclose(estimator.mean_, [X[:, 0].mean(), 1e300], rtol=1e-12)
        np.testing.assert_allclose(estimator.scale_[0], (X[:, 0] / 1e300).std() * 1e300, 1e-12)
        assert estimator.scale_[1] == 1
        assert estimator.var_.tolist() == [np.inf, 0]  # 1e594 is no number of float64
        Z = estimator.transform(X)
        np.testing.assert_allclose(Z.std(axis=0), [1, 0], rtol=1e-12)
    extremes = np.array([[1.7e308], [-1.7e308]])
    assert OnlineMeanVar().fit(extremes).mean_ == 0
    np.testing.assert_allclose(OnlineMeanVar().fit(extremes).scale_, 1.7e308)


def test_large_values_after_small_ones_and_merged():
    small, large = normal(100), normal(100) * 1e200
    both = OnlineMeanVar(with_covariance=True).fit(np.r_[small, large])
    for joined in (
        OnlineMeanVar(with_covariance=True).fit(small).partial_fit(large),
        sum(OnlineMeanVar(with_covariance=True).fit(part) for part in (small, large)),
    ):
        np.testing.assert_allclose(joined.scale_, both.scale_, rtol=1e-12)
        np.testing.assert_allclose(joined.mean_, both.mean_, rtol=1e-12)
        assert joined.n_samples_seen_ == 200
    np.testing.assert_allclose(both.scale_ / 1e200, np.r_[small / 1e200, normal(100)].std(0))


@pytest.mark.filterwarnings("error")
def test_squares_that_overflow_only_together_are_no_matter():
    X = 1e153 * normal(400, 3)
    for size in (1, 7, 400):
        found = stream(X, size)
        np.testing.assert_allclose(found.scale_ / 1e153, normal(400, 3).std(0), rtol=1e-12)
        assert type(found.n_samples_seen_) is int


@pytest.mark.parametrize("covariance", [False, True])
def test_large_values_are_counted_like_others(covariance):
    small, large = normal(20), 1e200 * normal(20)
    estimator = OnlineMeanVar(with_covariance=covariance)
    for found in (
        clone(estimator).fit(np.r_[small, large]),
        clone(estimator).fit(small).partial_fit(large),
        clone(estimator).fit(small) + clone(estimator).fit(large),
    ):
        assert found.n_samples_seen_ == 40
        assert type(found.n_samples_seen_) is int


def test_a_large_value_is_forgotten_too():
    found = stream(np.r_[normal(5, 1), [[1e200]]], 1, half_life=10)
    for seed in range(20):
        found.partial_fit(normal(1000, 1, seed=seed))
    expected = OnlineMeanVar(half_life=10).fit(normal(1000, 1, seed=19))
    np.testing.assert_allclose(found.var_, expected.var_, rtol=1e-12)


@pytest.mark.parametrize("half_life", [None, 30])
@pytest.mark.parametrize("offset", [1e8, 1e12])
def test_a_feature_that_comes_late_row_by_row_keeps_its_digits(half_life, offset):
    X = normal(200, 2, offset=offset)
    X[:50, 0] = np.nan
    found = stream(X, 1, half_life=half_life)
    expected = OnlineMeanVar(half_life=half_life).fit(X - offset)
    np.testing.assert_allclose(found.var_, expected.var_, rtol=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("half_life", [None, 3.0])
def test_weights_beyond_float64_are_refused(half_life):
    estimator = OnlineMeanVar(half_life=half_life).fit(normal(20))
    before = state(estimator)
    for method in (estimator.fit, estimator.partial_fit):
        with pytest.raises(ValueError, match=r"beyond float64. Divide sample_weight by its"):
            method(normal(20), sample_weight=np.full(20, 1e308))
    assert state(estimator) == before
    heavy = OnlineMeanVar().fit(normal(1), sample_weight=[1.5e308])
    with pytest.raises(ValueError, match="beyond float64"):
        heavy.merge(heavy)


def test_covariance_is_symmetric_to_the_last_bit():
    found = stream(normal(200), 1, with_covariance=True)
    np.testing.assert_array_equal(found.covariance_, found.covariance_.T)
    np.testing.assert_array_equal(found.covariance_.diagonal(), found.var_)


def test_float32_rows_are_summed_in_float64():
    X = normal(3000, offset=1000).astype(np.float32)
    found = stream(X, 100)
    np.testing.assert_allclose(found.var_, X.astype(float).var(0), rtol=1e-13)
    assert found.mean_.dtype == np.float64
    Z = found.transform(X)
    assert Z.dtype == np.float32
    expected = (X.astype(float) - found.mean_) / found.scale_
    np.testing.assert_allclose(Z, expected, rtol=1e-6, atol=1e-6)


# What is computed.


@pytest.mark.parametrize("ddof", [0, 1])
def test_against_numpy(ddof):
    X = normal(50)
    found = OnlineMeanVar(ddof=ddof, with_covariance=True).fit(X)
    np.testing.assert_allclose(found.mean_, X.mean(0), rtol=1e-13)
    np.testing.assert_allclose(found.var_, X.var(0, ddof=ddof), rtol=1e-13)
    np.testing.assert_allclose(found.covariance_, np.cov(X.T, ddof=ddof), rtol=1e-12)
    np.testing.assert_allclose(found.standard_error_, X.std(0, ddof=ddof) / 50**0.5, rtol=1e-13)
    assert found.n_samples_seen_ == 50
    assert type(found.n_samples_seen_) is int
    assert found.n_effective_.tolist() == [50] * 4


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("half_life", [None, 20])
@pytest.mark.parametrize("size", [1, 7, 60])
def test_weight_two_is_the_row_twice(ddof, half_life, size):
    X, weights = normal(60, offset=1e6), np.random.default_rng(1).integers(0, 4, 60)
    params = {"ddof": ddof, "half_life": half_life}
    counts = weights > 0
    weighted = stream(X[counts], size, weights[counts], **params)
    repeated = OnlineMeanVar(**params).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(weighted.var_, repeated.var_, rtol=1e-11)
    np.testing.assert_allclose(weighted.standard_error_, repeated.standard_error_, rtol=1e-11)
    assert weighted.n_samples_seen_.dtype == float
    np.testing.assert_allclose(weighted.n_samples_seen_, repeated.n_samples_seen_)
    zeros = OnlineMeanVar(**params).fit(X, sample_weight=weights)
    np.testing.assert_array_equal(
        zeros.var_, OnlineMeanVar(**params).fit(X[counts], None, weights[counts]).var_
    )


@pytest.mark.parametrize("half_life", [None, 20])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_weights_of_one_are_none(half_life, kind):
    X = kind(normal(60))
    a = OnlineMeanVar(half_life=half_life).fit(X)
    b = OnlineMeanVar(half_life=half_life).fit(X, sample_weight=np.ones(60))
    assert state(a) == state(b)


@pytest.mark.parametrize("covariance", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_any_split_and_any_merge_order(covariance, seed):
    rng = np.random.default_rng(seed)
    X = normal(400, offset=1e4, seed=seed)
    one = OnlineMeanVar(with_covariance=covariance).fit(X)
    cuts = np.sort(rng.choice(np.arange(1, 400), 12, replace=False))
    parts = [stream(part, 5, with_covariance=covariance) for part in np.split(X, cuts)]
    same(sum(parts), one)
    while len(parts) > 1:
        i, j = rng.choice(len(parts), 2, replace=False)
        rest = [part for k, part in enumerate(parts) if k not in (i, j)]
        parts = [*rest, parts[i] + parts[j]]
    same(parts[0], one)
    assert parts[0].n_samples_seen_ == 400


@pytest.mark.parametrize("covariance", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_subtraction_gives_back(covariance, offset):
    a = OnlineMeanVar(with_covariance=covariance).fit(normal(300, offset=offset))
    b = OnlineMeanVar(with_covariance=covariance).fit(normal(100, offset=offset + 1, seed=1))
    same((a + b) - b, a, 1e-9)
    same((a + b) - a, b, 1e-9)
    assert ((a + b) - b).n_samples_seen_ == 300
    same(a - OnlineMeanVar(with_covariance=covariance), a, 0)


@pytest.mark.parametrize("covariance", [False, True])
def test_a_constant_is_constant_after_subtraction(covariance):
    estimator = OnlineMeanVar(with_covariance=covariance)
    a = clone(estimator).fit(np.full((10, 2), 0.1))
    b = clone(estimator).fit(normal(100, 2))
    assert a.var_.tolist() == [0, 0]
    assert ((a + b) - b).scale_.tolist() == [1, 1]


def test_arithmetic_leaves_its_arguments_alone():
    a, b = OnlineMeanVar().fit(normal(30)), OnlineMeanVar().fit(normal(20, seed=1))
    before = state(a), state(b)
    total = a + b
    _ = total - b, sum([a, b])
    assert (state(a), state(b)) == before
    total.partial_fit(normal(5))
    assert (state(a), state(b)) == before
    assert a.merge(b) is a
    assert a.n_samples_seen_ == 50


def test_nothing_seen_is_the_zero_of_addition():
    a = OnlineMeanVar().fit(pd.DataFrame(normal(30), columns=list("abcd")))
    for total in (a + OnlineMeanVar(), OnlineMeanVar() + a, sum([OnlineMeanVar(), a])):
        same(total, a, 0)
        assert total.get_feature_names_out().tolist() == list("abcd")
    assert not hasattr(OnlineMeanVar() + OnlineMeanVar(), "mean_")


def test_half_life_is_the_stated_formula():
    X, h = normal(100, offset=1e9), 12.5
    decays = 2.0 ** (-np.arange(99, -1, -1) / h)
    mean = (decays[:, None] * (X - 1e9)).sum(0) / decays.sum()
    expected = (decays[:, None] * (X - 1e9 - mean) ** 2).sum(0) / decays.sum()
    effective = decays.sum() ** 2 / (decays**2).sum()
    for size in (1, 7, 100):
        found = stream(X, size, half_life=h)
        np.testing.assert_allclose(found.mean_ - 1e9, mean, atol=3e-7)
        np.testing.assert_allclose(found.var_, expected, rtol=1e-12)
        np.testing.assert_allclose(found.n_samples_seen_, [decays.sum()] * 4)
        np.testing.assert_allclose(found.n_effective_, [effective] * 4)
        np.testing.assert_allclose(found.standard_error_, (expected / effective) ** 0.5)
    unbiased = stream(X, 9, half_life=h, ddof=1).var_
    np.testing.assert_allclose(unbiased, expected * effective / (effective - 1))


def test_half_life_keeps_its_digits_when_the_stream_leaves_its_start():
    X = normal(3000, 1)
    X[1000:] += 1e12
    found = stream(X, 1, half_life=10)
    expected = stream(X[2000:], 1, half_life=10)
    np.testing.assert_allclose(found.var_, expected.var_, rtol=1e-9)


def test_standard_error_covers_the_mean():
    """In 2000 streams of mean 0 the mean lies within 1.96 standard errors 95 times in 100."""
    X = np.random.default_rng(3).standard_normal((400, 2000))
    for params in ({}, {"half_life": 40}):
        found = OnlineMeanVar(ddof=1, **params).fit(X)
        inside = np.abs(found.mean_) < 1.96 * found.standard_error_
        assert 0.92 < inside.mean() < 0.97


# Missing values.


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize("weighted", [False, True])
def test_missing_values_feature_by_feature(kind, weighted):
    X = normal(200, offset=0.5)
    rng = np.random.default_rng(1)
    X[rng.random(X.shape) < 0.2] = np.nan
    X[rng.random(X.shape) < 0.2] = 0
    X[:90, 0] = np.nan
    weights = rng.integers(1, 4, 200) if weighted else np.ones(200, int)
    for size in (200, 30):
        data = X if kind is np.asarray else sp.csr_array(kind(X))  # whose rows can be cut
        found = stream(data, size, weights)
        for j, column in enumerate(np.repeat(X, weights, axis=0).T):
            values = column[~np.isnan(column)]
            np.testing.assert_allclose(found.mean_[j], values.mean(), rtol=1e-12)
            np.testing.assert_allclose(found.var_[j], values.var(), rtol=1e-12)
            assert found.n_samples_seen_[j] == len(values)


def test_a_later_empty_column_changes_nothing():
    X = normal(50)
    gone = X.copy()
    gone[:, 1] = np.nan
    found = OnlineMeanVar().fit(X).partial_fit(gone)
    assert found.var_[1] == OnlineMeanVar().fit(X).var_[1]
    assert found.n_samples_seen_.tolist() == [100, 50, 100, 100]
    before = found.var_
    found.partial_fit(np.full((1, 4), np.nan))
    assert found.var_.tolist() == before.tolist()
    with pytest.warns(RuntimeWarning):  # scikit-learn's variance is NaN from here on
        scaler = StandardScaler().fit(X).partial_fit(gone)
    assert np.isnan(scaler.var_[1])


def test_a_feature_without_a_value_is_nan():
    X = normal(50)
    X[:, 2] = np.nan
    found = OnlineMeanVar(ddof=1).fit(X)
    assert np.isnan(
        [found.mean_[2], found.var_[2], found.scale_[2], found.standard_error_[2]]
    ).all()
    np.testing.assert_allclose(found.var_[:2], X.var(0, ddof=1)[:2])
    Z = found.transform(X)
    assert np.isnan(Z[:, 2]).all()
    assert not np.isnan(Z[:, :2]).any()


# Standardising.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transform_is_standard_scaler(dtype):
    X = normal(100, offset=3).astype(dtype)
    X[3, 1] = np.nan
    ours, theirs = OnlineMeanVar().fit(X), StandardScaler().fit(X)
    Z = ours.transform(X)
    np.testing.assert_allclose(Z, theirs.transform(X), rtol=1e-5, atol=1e-5)
    assert Z.dtype == dtype
    np.testing.assert_allclose(ours.inverse_transform(Z), X, rtol=1e-6)
    np.testing.assert_array_equal(ours.transform(X[:3]), Z[:3])


def test_transform_keeps_the_digits_of_float32_at_an_offset():
    X = (1e6 + np.arange(64)[:, None]).astype(np.float32)
    found = OnlineMeanVar().fit(X)
    expected = (X.astype(float) - 1000031.5) / np.arange(64).std()
    np.testing.assert_allclose(found.transform(X), expected, rtol=1e-6)
    np.testing.assert_array_equal(found.inverse_transform(found.transform(X)), X)


def test_constant_features_are_centred_only():
    X = np.c_[normal(20, 1), np.full(20, 0.1)]
    Z = OnlineMeanVar().fit_transform(X)
    np.testing.assert_array_equal(Z[:, 1], 0)


def test_input_is_not_written_to():
    X = normal(100)
    X.setflags(write=False)
    estimator = OnlineMeanVar().fit(X).partial_fit(X)
    estimator.inverse_transform(estimator.transform(X))
    estimator = OnlineMeanVar(with_covariance=True).fit(X)
    for name in ("mean_", "var_", "scale_", "covariance_", "standard_error_"):
        getattr(estimator, name)[:] = 7  # a copy
        assert not (getattr(estimator, name) == 7).any()


# Sparse rows and tensors.


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_array, sp.csr_matrix, sp.coo_array])
@pytest.mark.parametrize("params", [{}, {"with_covariance": True}, {"half_life": 30, "ddof": 1}])
@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_rows_are_dense_rows(kind, params, weighted):
    X = normal(300)
    X[np.random.default_rng(1).random(X.shape) < 0.6] = 0
    X[:, 1] = 5.0
    X[:, 2] += 1e6
    X[:, 3] = 0
    weights = np.random.default_rng(2).random(300) if weighted else None
    dense = OnlineMeanVar(**params).fit(X, sample_weight=weights)
    found = OnlineMeanVar(**params).fit(kind(X), sample_weight=weights)
    same(found, dense, 1e-11)
    assert found.scale_[[1, 3]].tolist() == [1, 1]
    same(found.partial_fit(kind(X)), dense.partial_fit(X), 1e-11)
    one = [OnlineMeanVar(**params).fit(rows, sample_weight=weights) for rows in (kind(X), X)]
    same(one[0] + dense, one[1] + dense, 1e-11)


def test_places_stored_twice_are_added():
    X = sp.csr_array((np.array([1.0, 2.0, 4.0]), np.array([0, 0, 1]), np.array([0, 2, 3])))
    assert OnlineMeanVar().fit(X).mean_.tolist() == [1.5, 2.0]
    assert X.nnz == 3


def test_transform_refuses_sparse_rows():
    X = sp.csr_array(normal(10))
    estimator = OnlineMeanVar().fit(X)
    for method in (estimator.transform, estimator.inverse_transform):
        with pytest.raises(ValueError, match=r"got sparse X, and centring would fill it.*toarray"):
            method(X)
    assert_allclose_dense_sparse(X.multiply(1 / estimator.scale_).toarray().std(0), np.ones(4))


@pytest.mark.parametrize("params", [{}, {"with_covariance": True}, {"half_life": 30.0}])
def test_tensors_stay_tensors(params):
    X = normal(100, offset=1e6)
    weights = np.random.default_rng(1).random(100)
    tensor = torch.from_numpy(X)
    reference = OnlineMeanVar(**params).fit(X, sample_weight=weights).partial_fit(X[:1])
    with config_context(array_api_dispatch=True):
        found = OnlineMeanVar(**params).fit(tensor, sample_weight=torch.from_numpy(weights))
        found.partial_fit(tensor[:1])
        for name in ("mean_", "var_", "scale_", "standard_error_", "n_samples_seen_"):
            value = getattr(found, name)
            assert isinstance(value, torch.Tensor)
            np.testing.assert_allclose(value, getattr(reference, name), rtol=1e-12)
        Z = found.transform(tensor)
        assert isinstance(Z, torch.Tensor)
        assert isinstance(found.inverse_transform(Z), torch.Tensor)
        both = found + found
        assert isinstance(both.mean_, torch.Tensor)
        with pytest.raises(ValueError, match="must use the same namespace"):
            found.partial_fit(X)
        assert isinstance(pickle.loads(pickle.dumps(found)).mean_, torch.Tensor)
        mixed = found + reference  # parts may come from several devices
        assert isinstance(mixed.mean_, torch.Tensor)
    np.testing.assert_allclose(Z, reference.transform(X), rtol=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("covariance", [False, True])
def test_large_tensors_do_not_overflow(covariance):
    X = 1e300 * normal(50)
    with config_context(array_api_dispatch=True):
        found = OnlineMeanVar(with_covariance=covariance).fit(torch.from_numpy(X[:40]))
        found.partial_fit(torch.from_numpy(X[40:]))
        np.testing.assert_allclose(found.scale_ / 1e300, normal(50).std(0), rtol=1e-12)
        assert found.n_samples_seen_ == 50


def test_tensors_with_a_gradient_are_only_numbers(recwarn):
    X = torch.from_numpy(normal(50)).requires_grad_()
    with config_context(array_api_dispatch=True):
        found = OnlineMeanVar().fit(X)
        assert not found.partial_fit(X).mean_.requires_grad
        assert not found.transform(X).requires_grad
    assert not [each for each in recwarn if "Converting a tensor" in str(each.message)]


def test_what_saw_tensors_goes_on_with_arrays():
    X = normal(50)
    with config_context(array_api_dispatch=True):
        found = OnlineMeanVar().fit(torch.from_numpy(X))
    Z = found.transform(X)
    assert isinstance(Z, np.ndarray)
    np.testing.assert_allclose(Z, OnlineMeanVar().fit(X).transform(X), rtol=1e-12, atol=1e-14)
    assert isinstance(found.partial_fit(X).mean_, np.ndarray)
    assert found.n_samples_seen_ == 100


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_tensors():
    X = normal(1000, offset=1e8)
    tensor = torch.from_numpy(X).cuda()
    with config_context(array_api_dispatch=True):
        found = OnlineMeanVar(with_covariance=True).fit(tensor).partial_fit(tensor)
        assert found.mean_.is_cuda
        assert found.transform(tensor).is_cuda
        np.testing.assert_allclose(found.covariance_.cpu(), np.cov(X.T, ddof=0), rtol=1e-9)


# The fast path is the slow path.


@pytest.mark.parametrize("params", [{}, {"half_life": 20.0}, {"with_covariance": True}])
def test_rows_that_skip_validation_give_the_same_bits(params, monkeypatch):
    X = normal(40)
    fast = stream(X, 1, **params)
    monkeypatch.setattr(OnlineMeanVar, "_knows", lambda *_: False)
    assert state(stream(X, 1, **params)) == state(fast)


@pytest.mark.parametrize("rows", [1, 30])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X: np.full_like(X, np.inf), "Input X contains infinity or a value too large"),
        (lambda X: X[:, :2], "X has 2 features, but OnlineMeanVar is expecting 4 features"),
        (lambda X: X[0], "Expected 2D array, got 1D array instead"),
        (lambda X: X[:0], r"Found array with 0 sample\(s\)"),
        (lambda X: X.astype(complex), "Complex data not supported"),
        (lambda X: X[None], "Found array with dim 3"),
        (lambda X: X.astype(str) + "a", "could not convert string to float"),
    ],
)
def test_bad_batches_leave_no_trace(rows, spoil, message):
    estimator = OnlineMeanVar().fit(normal(50))
    before = state(estimator)
    with pytest.raises(ValueError, match=message):
        estimator.partial_fit(spoil(normal(rows)))
    assert state(estimator) == before


def test_nan_is_refused_with_a_covariance():
    estimator = OnlineMeanVar(with_covariance=True).fit(normal(50))
    before = state(estimator)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        estimator.partial_fit(np.full((1, 4), np.nan))
    assert state(estimator) == before


def test_other_rows_than_arrays_of_float():
    X = np.random.default_rng(0).integers(0, 255, (40, 3))
    expected = X.var(0)
    frame = pd.DataFrame(X, columns=list("abc"))
    for kind in (X, X.astype(np.uint8), X.tolist(), frame, X.astype(np.float16), X.astype(">f8")):
        estimator = OnlineMeanVar().fit(kind[:30]).partial_fit(kind[30:])
        np.testing.assert_allclose(estimator.var_, expected)
    estimator = OnlineMeanVar().fit(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.partial_fit(frame[["b", "a", "c"]])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        estimator.partial_fit(X.astype(float))


# Bad input.


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, sp.csc_array])
def test_all_missing_at_first(kind):
    estimator = OnlineMeanVar()
    for method in (estimator.fit, estimator.partial_fit):
        with pytest.raises(ValueError, match="X holds no number: all values of its 3 samples"):
            method(kind(np.full((3, 2), np.nan)))
    assert vars(estimator) == vars(OnlineMeanVar())


def test_weights_that_cannot_be():
    estimator = OnlineMeanVar().fit(normal(10))
    before = state(estimator)
    for weights, message in (
        (np.zeros(10), "zero"),
        (-np.ones(10), "Negative values in data passed to `sample_weight`"),
        (np.ones(3), r"sample_weight.shape == \(3,\), expected \(10,\)"),
    ):
        for method in (estimator.fit, estimator.partial_fit):
            with pytest.raises(ValueError, match=message):
                method(normal(10), sample_weight=weights)
    assert state(estimator) == before


def test_a_divisor_that_is_not_positive():
    estimator = OnlineMeanVar(ddof=1)
    message = r"ddof=1 leaves nothing to divide by with n_samples=1 .*Give more samples, or set"
    with pytest.raises(ValueError, match=message):
        estimator.fit(normal(1))
    assert not hasattr(estimator, "mean_")
    estimator.partial_fit(normal(1))
    assert estimator.mean_.tolist() == normal(1)[0].tolist()
    assert not hasattr(estimator, "var_")
    assert "var_" not in dir(estimator)
    assert estimator._repr_html_()
    with pytest.raises(ValueError, match=message):
        estimator.transform(normal(1))
    estimator.partial_fit(normal(1, seed=1))
    assert estimator.var_.shape == (4,)
    with pytest.raises(ValueError, match=r"n_samples=0\.5 \(the sum of weights"):
        OnlineMeanVar(ddof=1).fit(normal(2), sample_weight=[0.25, 0.25])


@pytest.mark.parametrize("operation", ["merge", "__add__", "__sub__"])
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (OnlineMeanVar(ddof=1), "ddof=0 here and ddof=1 there. Give both the same settings"),
        (OnlineMeanVar(with_covariance=True), "with_covariance=False here and .*True there"),
        (OnlineMeanVar(half_life=3), "half_life=None here and half_life=3 there"),
    ],
)
def test_other_settings_do_not_merge(operation, other, message):
    estimator = OnlineMeanVar().fit(normal(10))
    before = state(estimator)
    with pytest.raises(ValueError, match=message):
        getattr(estimator, operation)(clone(other).fit(normal(10)))
    assert state(estimator) == before


def test_other_features_do_not_merge():
    estimator = OnlineMeanVar().fit(normal(10))
    before = state(estimator)
    with pytest.raises(ValueError, match="cannot merge: 4 features here and 3 there"):
        estimator.merge(OnlineMeanVar().fit(normal(10, 3)))
    with pytest.raises(TypeError, match="cannot merge StandardScaler and OnlineMeanVar"):
        estimator.merge(StandardScaler().fit(normal(10)))
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = estimator + 1
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = estimator - 1
    assert state(estimator) == before
    a, b = (
        OnlineMeanVar().fit(pd.DataFrame(normal(9, 2), columns=n)) for n in (["a", "b"], ["b", "a"])
    )
    with pytest.raises(ValueError, match=r"named \['a', 'b'\] here and \['b', 'a'\] there"):
        a.merge(b)


def test_more_settings_do_not_merge():
    class Named(OnlineMeanVar):
        def __init__(self, *, ddof=0, with_covariance=False, half_life=None, name="a"):
            super().__init__(ddof=ddof, with_covariance=with_covariance, half_life=half_life)
            self.name = name

    with pytest.raises(ValueError, match="cannot merge: name='a' here and name=None there"):
        Named().fit(normal(10)).merge(OnlineMeanVar().fit(normal(10)))


def test_constants_have_no_negative_variance():
    rng = np.random.default_rng(0)
    for half_life in (None, 0.5, 1, 5):
        for make in (np.asarray, sp.csr_array):
            for _ in range(100):
                stream = OnlineMeanVar(half_life=half_life)
                for value in rng.choice([1 / 3, 0.1, 7.7, 1e9 / 3], 4):
                    stream.partial_fit(make(np.full((rng.integers(1, 400), 1), value)))
                assert stream.var_[0] >= 0


def test_a_covariance_that_could_not_be_is_not_subtracted():
    z, y = normal(100, 2).T
    a = OnlineMeanVar(with_covariance=True).fit(np.column_stack([z, z]))
    b = OnlineMeanVar(with_covariance=True).fit(np.column_stack([y, -y])[:50] / 10)
    with pytest.raises(ValueError, match="so these rows were never added"):
        a - b


def test_what_was_never_added_cannot_be_subtracted():
    a, b = OnlineMeanVar().fit(normal(10)), OnlineMeanVar().fit(normal(20))
    with pytest.raises(
        ValueError, match="weight of 20 from one of 10: these rows were never added"
    ):
        _ = a - b
    with pytest.raises(ValueError, match="sum of squares would be negative"):
        _ = b - OnlineMeanVar().fit(100 * normal(10))
    with pytest.raises(ValueError, match="nothing would be left"):
        _ = a - a
    assert (a.n_samples_seen_, b.n_samples_seen_) == (10, 20)
    X = normal(10, 2)
    X[5:, 1] = np.nan
    with pytest.raises(ValueError, match="weight of 6 from one of 5"):
        _ = OnlineMeanVar().fit(X) - OnlineMeanVar().fit(normal(6, 2))


def test_an_outlier_that_left_may_take_the_rest_with_it():
    rows = [OnlineMeanVar().partial_fit(row[None]) for row in np.r_[normal(30, 1), [[1e9]]]]
    rest = sum(rows) - rows[-1]
    with pytest.raises(ValueError, match=r"rounding of larger ones.* merge again what shall"):
        _ = rest - sum(rows[:15])


def test_covariance_cannot_begin_late():
    estimator = OnlineMeanVar().fit(normal(10))
    with pytest.raises(AttributeError, match="only with with_covariance=True"):
        _ = estimator.covariance_
    estimator.set_params(with_covariance=True)
    before = state(estimator)
    with pytest.raises(ValueError, match="with_covariance=True was set after the first rows"):
        estimator.partial_fit(normal(10))
    assert state(estimator) == before
    with pytest.raises(AttributeError, match="only for rows seen with_covariance=True"):
        _ = estimator.covariance_
    other = OnlineMeanVar(with_covariance=True).fit(normal(20))
    for operation in (estimator.merge, other.merge, estimator.__add__, other.__sub__):
        with pytest.raises(ValueError, match="with_covariance=True was set after the first rows"):
            operation(estimator if operation.__self__ is other else other)
    assert state(estimator) == before
    assert estimator.fit(normal(10)).covariance_.shape == (4, 4)


@pytest.mark.parametrize("half_life", [-3, 0, "3", np.nan, np.inf])
@pytest.mark.parametrize("rows", [1, 30])
def test_a_half_life_that_cannot_be_is_refused_later_too(half_life, rows):
    estimator = OnlineMeanVar().fit(normal(10)).set_params(half_life=half_life)
    before = state(estimator)
    with pytest.raises(ValueError, match="'half_life' parameter of OnlineMeanVar must be"):
        estimator.partial_fit(normal(rows))
    assert state(estimator) == before
    estimator.set_params(half_life=np.float64(3)).partial_fit(normal(rows))


def test_an_interrupted_batch_leaves_no_trace(monkeypatch):
    estimator = OnlineMeanVar().fit(normal(50))
    before = state(estimator)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("skbasics.stats._seen.add_rows", interrupted)
    for method in (estimator.fit, estimator.partial_fit):
        with pytest.raises(KeyboardInterrupt):
            method(normal(50))
    assert state(estimator) == before


def test_saved_without_pickle():
    import skops.io

    estimator = OnlineMeanVar(with_covariance=True).fit(normal(50))
    trusted = ["skbasics._moments.Moments", "skbasics.stats._online.OnlineMeanVar"]
    trusted.append("skbasics.stats._seen.Seen")
    same(skops.io.loads(skops.io.dumps(estimator), trusted=trusted), estimator, 0)


def test_copies_go_their_own_way():
    estimator = OnlineMeanVar().fit(normal(50))
    for other in (copy.deepcopy(estimator), pickle.loads(pickle.dumps(estimator))):
        same(other, estimator, 0)
        other.partial_fit(normal(50))
        assert estimator.n_samples_seen_ == 50
    assert not hasattr(clone(estimator), "mean_")


def test_transform_output_can_be_a_frame():
    frame = pd.DataFrame(normal(20), columns=list("abcd"))
    estimator = OnlineMeanVar().set_output(transform="pandas")
    Z = estimator.fit_transform(frame)
    assert list(Z.columns) == list("abcd")
    total = estimator + estimator
    total.set_output(transform="default")
    assert isinstance(estimator.transform(frame), pd.DataFrame)


def test_missing_values_beside_a_covariance_are_explained():
    for X in (np.array([[1.0, np.nan], [2.0, 3.0]]), sp.csr_array([[1.0, np.nan], [2.0, 3.0]])):
        with pytest.raises(ValueError, match=r"contains NaN, .* or set with_covariance=False"):
            OnlineMeanVar(with_covariance=True).fit(X)
