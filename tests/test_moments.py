"""The moments against exact rational arithmetic, which no rounding can flatter."""

from dataclasses import replace
from fractions import Fraction
from functools import reduce

import numpy as np
import pytest
import torch

from skbasics import _moments as moments
from skbasics._moments import batch_moments, decay, first_values, merge, rescale, subtract

OFFSETS = [(0.0, 1e-14), (1e8, 1e-12), (1e12, 1e-10)]
ARRAYS = {"numpy": np.asarray, "torch": torch.from_numpy}


def normal(n=600, p=3, offset=0.0, seed=0):
    return np.random.default_rng(seed).standard_normal((n, p)) + offset


def exact(X, weights=None):
    """Return the weighted mean and scatter matrix of X as fractions."""
    weights = [Fraction(1)] * len(X) if weights is None else [Fraction(float(w)) for w in weights]
    columns = [[Fraction(float(value)) for value in column] for column in X.T]
    total = sum(weights)
    means = [sum(w * v for w, v in zip(weights, c, strict=True)) / total for c in columns]
    centred = [[v - m for v in c] for c, m in zip(columns, means, strict=True)]
    scatter = [
        [sum(w * a * b for w, a, b in zip(weights, f, g, strict=True)) for g in centred]
        for f in centred
    ]
    return means, scatter


def error(result, X, weights=None):
    """Return the largest relative error of the scatter's diagonal."""
    scatter = np.asarray(result.scatter)
    diagonal = np.diagonal(scatter) if scatter.ndim == 2 else scatter
    truth = exact(X, weights)[1]
    return max(
        abs(float((Fraction(float(s)) - truth[j][j]) / truth[j][j])) for j, s in enumerate(diagonal)
    )


def stream(X, size, **options):
    total = batch_moments(X[:size], **options)
    for start in range(size, len(X), size):
        batch = batch_moments(X[start : start + size], shift=total.shift, **options)
        total = merge(total, batch)
    return total


def close(a, b, tolerance=1e-12):
    np.testing.assert_allclose(a.weight, b.weight, rtol=tolerance)
    np.testing.assert_allclose(a.location, b.location, rtol=tolerance, atol=tolerance)
    size = float(np.abs(b.scatter).max())
    np.testing.assert_allclose(a.scatter, b.scatter, rtol=tolerance, atol=tolerance * size)


@pytest.mark.parametrize(("offset", "tolerance"), OFFSETS)
@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("size", [1, 37, 600])
def test_variance_against_exact_arithmetic(offset, tolerance, kind, size):
    X = normal(offset=offset)
    A = ARRAYS[kind](X)
    assert error(stream(A, size), X) <= tolerance
    assert error(stream(A, size, matrix=True), X) <= tolerance
    separate = [batch_moments(A[start : start + size]) for start in range(0, 600, size)]
    assert error(reduce(merge, separate), X) <= tolerance  # each with a shift of its own
    means = exact(X)[0]
    location = np.asarray(stream(A, size).location)
    np.testing.assert_allclose(location, [float(m) for m in means], rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize(("offset", "tolerance"), OFFSETS)
def test_weights_and_products_against_exact_arithmetic(offset, tolerance):
    X = normal(200, offset=offset)
    weights = np.random.default_rng(1).integers(0, 4, 200).astype(float)
    found = batch_moments(X, weights, matrix=True)
    assert error(found, X, weights) <= tolerance
    truth = np.array([[float(v) for v in row] for row in exact(X, weights)[1]])
    np.testing.assert_allclose(found.scatter, truth, rtol=0, atol=tolerance * truth.max())
    close(found, batch_moments(np.repeat(X, weights.astype(int), axis=0), matrix=True), tolerance)


def test_float32_rows_are_summed_in_float64(monkeypatch):
    monkeypatch.setattr(moments, "BLOCK", 64)
    X = normal(500, offset=1e5).astype(np.float32)
    assert error(batch_moments(X), X) <= 1e-14
    assert batch_moments(torch.from_numpy(X)).scatter.dtype == torch.float64


@pytest.mark.parametrize("matrix", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_any_split_and_any_order(seed, matrix):
    rng = np.random.default_rng(seed)
    X = normal(offset=1e6, seed=seed)
    cuts = np.sort(rng.choice(np.arange(1, 600), 9, replace=False))
    parts = [batch_moments(part, matrix=matrix) for part in np.split(X, cuts)]
    while len(parts) > 1:  # a random tree of merges
        i, j = rng.choice(len(parts), 2, replace=False)
        joined = merge(parts[i], parts[j])
        parts = [part for k, part in enumerate(parts) if k not in (i, j)] + [joined]
    close(parts[0], batch_moments(X, matrix=matrix))


@pytest.mark.parametrize("kind", ARRAYS)
def test_missing_values_count_feature_by_feature(kind):
    X = normal(300, offset=1e8)
    X[np.random.default_rng(2).random(X.shape) < 0.3] = np.nan
    X[:150, 1] = np.nan  # first seen late
    A = ARRAYS[kind](X)
    total = merge(batch_moments(A[:100], missing=True), batch_moments(A[100:], missing=True))
    for j, column in enumerate(X.T):
        present = column[~np.isnan(column)][:, None]
        assert error(replace(total, scatter=total.scatter[j : j + 1]), present) <= 1e-12
        assert total.weight[j] == len(present)
        np.testing.assert_allclose(total.location[j], present.mean(), rtol=1e-15)


def test_a_feature_never_seen_changes_nothing():
    X = normal(50)
    gone = X.copy()
    gone[:, 0] = np.nan
    once = batch_moments(X)
    twice = merge(once, batch_moments(gone, missing=True))
    assert twice.weight.tolist() == [50, 100, 100]
    assert twice.scatter[0] == once.scatter[0]
    nothing = batch_moments(gone[:, :1], missing=True)
    assert (nothing.weight[0], nothing.scatter[0]) == (0, 0)


def test_first_values_skip_what_is_missing():
    X = np.array([[np.nan, 1.0, np.nan], [2.0, 3.0, np.nan]])
    assert first_values(X).tolist() == [2.0, 1.0, 0.0]
    assert first_values(torch.from_numpy(X)).tolist() == [2.0, 1.0, 0.0]


@pytest.mark.parametrize("matrix", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_subtract_undoes_merge(matrix, offset):
    a = batch_moments(normal(300, offset=offset), matrix=matrix)
    b = batch_moments(normal(200, offset=offset + 2, seed=1), matrix=matrix)
    close(subtract(merge(a, b), b), a, 1e-9)
    close(subtract(merge(a, b), a), b, 1e-9)
    nothing = subtract(a, a)
    assert nothing.weight == 0
    assert not nothing.scatter.any()


def test_subtract_what_was_never_added():
    a, b = batch_moments(normal(100)), batch_moments(normal(200))
    with pytest.raises(ValueError, match="weight of 200 from one of 100: these rows were never"):
        subtract(a, b)
    with pytest.raises(ValueError, match="sum of squares would be negative"):
        subtract(b, batch_moments(100 * normal(50)))


def test_decay_is_a_smaller_weight():
    X, Y = normal(100, offset=1e9), normal(50, offset=1e9 + 3, seed=1)
    weights = np.r_[np.full(100, 0.25), np.ones(50)]
    found = merge(decay(batch_moments(X), 0.25), batch_moments(Y))
    close(found, batch_moments(np.r_[X, Y], weights), 1e-11)
    np.testing.assert_allclose(found.effective, weights.sum() ** 2 / (weights**2).sum())
    assert batch_moments(X).effective == 100


def test_decay_keeps_the_mean_to_the_last_digit():
    X = normal(100, offset=1e9)
    a = batch_moments(X, shift=np.zeros(3))
    moved = decay(a, 0.5)
    for j in range(3):
        before = Fraction(float(a.shift[j])) + Fraction(float(a.mean[j]))
        assert Fraction(float(moved.shift[j])) + Fraction(float(moved.mean[j])) == before


def test_no_overflow_at_1e300():
    X = np.full((10000, 1), 1e300)
    X[1::2] *= 1 + 1e-3
    constant = batch_moments(np.full((10000, 2), 1e300))
    assert constant.location.tolist() == [1e300] * 2
    assert constant.scatter.tolist() == [0.0, 0.0]
    factor = np.array([2.0**-900])
    small = batch_moments(X * factor)
    assert np.isfinite(small.scatter).all()
    np.testing.assert_allclose(small.location / factor, 1e300 * (1 + 5e-4), rtol=1e-15)
    deviation = np.sqrt(small.scatter / 10000) / factor
    np.testing.assert_allclose(deviation, 5e296, rtol=1e-12)


@pytest.mark.parametrize("matrix", [False, True])
def test_rescale(matrix):
    X, factor = normal(50), np.array([2.0, 0.25, 8.0])
    close(
        rescale(batch_moments(X, matrix=matrix), factor), batch_moments(X * factor, matrix=matrix)
    )


def printed_formulas(x):
    """Return squares about the mean by raw sums, by the other recurrence, and by Welford's."""
    n, mean, welford, printed = 0, 0.0, 0.0, 0.0
    for value in x:
        n, before = n + 1, mean
        mean += (value - mean) / n
        welford += (value - mean) * (value - before)
        printed += n * (n - 1) * (mean - before) ** 2
    return sum(value * value for value in x) - n * (sum(x) / n) ** 2, printed, welford


def test_what_is_often_printed_loses_digits():
    errors = []
    for seed in range(6):
        x = (1e8 + np.random.default_rng(seed).standard_normal(1000)).tolist()
        mean = sum(map(Fraction, x)) / len(x)
        exact = float(sum((Fraction(value) - mean) ** 2 for value in x))
        found = (*printed_formulas(x), batch_moments(np.array(x)[:, None]).scatter[0])
        errors.append([abs(squares - exact) / exact for squares in found])
    raw, printed, welford, ours = np.mean(errors, axis=0)
    assert raw > 1  # more than the variance itself
    assert printed > 10 * welford
    assert ours < 1e-14
