"""Correspondence analysis against published numbers, NumPy's SVD and exact arithmetic."""

import pickle
import tracemalloc
import warnings
from fractions import Fraction
from functools import reduce

import numpy as np
import pandas as pd
import prince
import pytest
import scipy.sparse as sp
import skops.io
import torch
from scipy.stats import chi2_contingency
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbasics import CorrespondenceAnalysis
from skbasics.decomposition import _profiles

SMOKING = np.array([[4, 2, 3, 2], [4, 3, 7, 4], [25, 10, 12, 4], [18, 24, 33, 13], [10, 6, 7, 2]])
SHAPES = [(60, 7), (7, 60), (20, 20), (400, 5)]
ATTRIBUTES = [
    "row_coordinates_",
    "column_coordinates_",
    "row_masses_",
    "column_masses_",
    "eigenvalues_",
    "singular_values_",
    "total_inertia_",
    "explained_inertia_ratio_",
    "row_contributions_",
    "column_contributions_",
    "row_cosine_similarities_",
    "column_cosine_similarities_",
    "chi2_",
    "p_value_",
]
OF_ALL = [name for name in ATTRIBUTES if not name.startswith("row_")]
FORMS = [np.asarray, sp.csr_array, sp.csc_matrix]


def counts(shape, seed=0, mean=3.0):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2, 0.5, shape) * mean
    return rng.poisson(rates) + (rng.random(shape) < 0.02).astype(int) + (rates > mean)


def textbook(table, n_components):
    """Everything from the SVD of the standardised residuals."""
    table = np.asarray(table, dtype=float)
    P = table / table.sum()
    r, c = P.sum(1), P.sum(0)
    S = (P - np.outer(r, c)) / np.sqrt(np.outer(r, c))
    U, s, Vt = np.linalg.svd(S, full_matrices=False)
    signs = np.sign(Vt[np.arange(len(Vt)), np.abs(Vt).argmax(1)])
    U, V, total = U * signs, Vt.T * signs, (s**2).sum()
    k = slice(n_components)
    F, G = U * s / np.sqrt(r)[:, None], V * s / np.sqrt(c)[:, None]
    return {
        "row_coordinates_": F[:, k],
        "column_coordinates_": G[:, k],
        "row_masses_": r,
        "column_masses_": c,
        "eigenvalues_": s[k] ** 2,
        "singular_values_": s[k],
        "total_inertia_": total,
        "explained_inertia_ratio_": s[k] ** 2 / total,
        "row_contributions_": U[:, k] ** 2,
        "column_contributions_": V[:, k] ** 2,
        "row_cosine_similarities_": F[:, k] ** 2 / (F**2).sum(1)[:, None],
        "column_cosine_similarities_": G[:, k] ** 2 / (G**2).sum(1)[:, None],
    }


def same(a, b, names=ATTRIBUTES, **tolerance):
    for name in names:
        np.testing.assert_allclose(
            getattr(a, name),
            getattr(b, name),
            err_msg=name,
            **{"rtol": 1e-9, "atol": 1e-12} | tolerance,
        )


# What is published.


def test_the_smoking_table_of_greenacre():
    analysis = CorrespondenceAnalysis(3, scaling="standard").fit(SMOKING)
    np.testing.assert_allclose(
        analysis.eigenvalues_, [0.0747591, 0.0100172, 0.0004136], rtol=0, atol=5e-8
    )
    np.testing.assert_allclose(
        analysis.explained_inertia_ratio_, [0.8776, 0.1176, 0.0049], rtol=0, atol=5e-5
    )
    rows = [[0.240539, 1.935708], [-0.947105, 2.430958], [1.391973, 0.106508]]
    rows += [[-0.851989, -0.576944], [0.735456, -0.788435]]
    columns = [[1.438471, 0.304659], [-0.363746, -1.409433], [-0.718017, -0.073528]]
    columns += [[-1.074445, 1.975960]]
    np.testing.assert_allclose(analysis.row_coordinates_[:, :2], rows, rtol=0, atol=5e-7)
    np.testing.assert_allclose(analysis.column_coordinates_[:, :2], columns, rtol=0, atol=5e-7)
    masses = [0.056995, 0.093264, 0.264249, 0.455959, 0.129534]
    np.testing.assert_allclose(analysis.row_masses_, masses, rtol=0, atol=5e-7)


# What is computed otherwise.


def test_a_large_table_is_as_prince_has_it():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.poisson(rng.gamma(0.7, 3.0, (300, 60)))).add_prefix("column ")
    theirs = prince.CA(n_components=5, engine="scipy").fit(table)
    ours = CorrespondenceAnalysis(5).fit(table)
    pairs = [
        (ours.eigenvalues_, theirs.eigenvalues_),
        (ours.total_inertia_, theirs.total_inertia_),
        (100 * ours.explained_inertia_ratio_, theirs.percentage_of_variance_),
        (ours.row_masses_, theirs.row_masses_),
        (ours.column_masses_, theirs.col_masses_),
        (np.abs(ours.row_coordinates_), np.abs(theirs.row_coordinates(table))),
        (np.abs(ours.column_coordinates_), np.abs(theirs.column_coordinates(table))),
        (ours.row_contributions_, theirs.row_contributions_),
        (ours.column_contributions_, theirs.column_contributions_),
        (ours.row_cosine_similarities_, theirs.row_cosine_similarities(table)),
        (ours.column_cosine_similarities_, theirs.column_cosine_similarities(table)),
    ]
    for found, expected in pairs:
        np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_attribute_is_the_textbooks(shape, form):
    table = counts(shape)
    analysis = CorrespondenceAnalysis(3).fit(form(table))
    for name, expected in textbook(table, 3).items():
        np.testing.assert_allclose(
            getattr(analysis, name), expected, rtol=1e-9, atol=1e-12, err_msg=name
        )


@pytest.mark.parametrize("form", FORMS)
def test_chi_square_is_that_of_scipy(form):
    table = counts((12, 6), mean=30)
    analysis = CorrespondenceAnalysis().fit(form(table))
    expected = chi2_contingency(table, correction=False)
    np.testing.assert_allclose(analysis.chi2_, expected.statistic, rtol=1e-12)
    np.testing.assert_allclose(analysis.p_value_, expected.pvalue, rtol=1e-9)
    with_empty = np.pad(table, ((0, 1), (1, 0)))
    with pytest.warns(UserWarning, match="sum to zero"):
        again = CorrespondenceAnalysis().fit(form(with_empty))
    np.testing.assert_allclose(again.p_value_, expected.pvalue, rtol=1e-9)


def exact_inertia(table):
    table = [[Fraction(int(x)) for x in row] for row in table]
    total = sum(map(sum, table))
    columns = [sum(column) for column in zip(*table, strict=True)]
    squares = (x * x / (sum(row) * c) for row in table for x, c in zip(row, columns, strict=True))
    return sum(squares) - 1, total


@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_the_total_inertia_is_exact(shape):
    table = counts(shape)
    inertia, total = exact_inertia(table)
    analysis = CorrespondenceAnalysis(1).fit(table)
    assert analysis.total_inertia_ == pytest.approx(float(inertia), rel=1e-14)
    assert analysis.chi2_ == pytest.approx(float(inertia * total), rel=1e-14)
    sparse = CorrespondenceAnalysis(1).fit(sp.csr_array(table))
    assert sparse.total_inertia_ == pytest.approx(float(inertia), rel=1e-13)


def test_a_faint_structure_keeps_its_digits():
    """Tables close to independence: the profiles are centred before anything is squared."""
    rng = np.random.default_rng(0)
    margins = np.outer(rng.integers(1, 9, 50), rng.integers(1, 9, 6)).astype(float)
    table = (margins * 2**40).round() + rng.integers(0, 3, margins.shape) * 2.0**12
    inertia, _ = exact_inertia(table)
    assert inertia < 1e-15
    parts = [CorrespondenceAnalysis(1).fit(part) for part in np.array_split(table, 5)]
    for analysis in (CorrespondenceAnalysis(1).fit(table), sum(parts)):
        assert analysis.total_inertia_ == pytest.approx(float(inertia), rel=1e-6)
        assert 0 < analysis.eigenvalues_[0] < analysis.total_inertia_


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_and_columns_are_dual(shape):
    table = counts(shape)
    a, b = CorrespondenceAnalysis(3).fit(table), CorrespondenceAnalysis(3).fit(table.T)
    signs = np.sign((a.row_coordinates_ * b.column_coordinates_).sum(0))
    tight = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(a.row_coordinates_, b.column_coordinates_ * signs, **tight)
    np.testing.assert_allclose(a.column_coordinates_, b.row_coordinates_ * signs, **tight)
    for name in ("masses_", "contributions_", "cosine_similarities_"):
        for one, other in (("row_", "column_"), ("column_", "row_")):
            np.testing.assert_allclose(getattr(a, one + name), getattr(b, other + name), **tight)
    same(a, b, ["eigenvalues_", "total_inertia_", "chi2_"])


def test_distributional_equivalence():
    """Proportional rows made one, nothing changes but the rows themselves."""
    table = counts((10, 6))
    split = np.vstack([table, 3 * table[2], 5 * table[2]])
    merged = table.copy()
    merged[2] *= 9
    a, b = CorrespondenceAnalysis(4).fit(split), CorrespondenceAnalysis(4).fit(merged)
    same(a, b, [name for name in OF_ALL if name != "p_value_"])
    np.testing.assert_allclose(a.row_coordinates_[[2, 10, 11]], b.row_coordinates_[[2, 2, 2]])


# Coordinates.


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scaling", ["principal", "standard", "symmetric"])
def test_scalings_and_both_transforms_return_the_fitted_points(scaling, form):
    table = counts((30, 6))
    principal = CorrespondenceAnalysis(5).fit(table)
    analysis = CorrespondenceAnalysis(5, scaling=scaling).fit(form(table))
    powers = {"principal": 0, "standard": -1, "symmetric": -0.5}
    factor = principal.singular_values_ ** powers[scaling]
    tight = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(
        analysis.row_coordinates_, principal.row_coordinates_ * factor, **tight
    )
    np.testing.assert_allclose(
        analysis.column_coordinates_, principal.column_coordinates_ * factor, **tight
    )
    np.testing.assert_array_equal(analysis.transform(form(table)), analysis.row_coordinates_)
    np.testing.assert_allclose(
        analysis.transform_columns(form(table)), analysis.column_coordinates_, **tight
    )
    profiles = table / table.sum(1)[:, None]
    back = analysis.inverse_transform(analysis.transform(form(table)))
    np.testing.assert_allclose(back, profiles, rtol=0, atol=1e-14)


def test_what_each_scaling_is_for():
    table = counts((30, 6))
    P = table / table.sum()
    standard = CorrespondenceAnalysis(5, scaling="standard").fit(table)
    variance = standard.row_masses_ @ standard.row_coordinates_**2
    np.testing.assert_allclose(variance, np.ones(5))
    symmetric = CorrespondenceAnalysis(5, scaling="symmetric").fit(table)
    relative = P / np.outer(P.sum(1), P.sum(0)) - 1
    products = symmetric.row_coordinates_ @ symmetric.column_coordinates_.T
    np.testing.assert_allclose(products, relative, atol=1e-13)
    F = CorrespondenceAnalysis(5).fit_transform(table)
    profiles = table / table.sum(1)[:, None]
    chi_square = (((profiles[0] - profiles[1]) ** 2) / P.sum(0)).sum()
    assert ((F[0] - F[1]) ** 2).sum() == pytest.approx(chi_square, rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_new_rows_and_columns_follow_the_transition_formulas(form):
    table = counts((30, 6))
    analysis = CorrespondenceAnalysis(3).fit(form(table))
    new_rows, new_columns = counts((4, 6), seed=1), counts((30, 3), seed=2)
    rows = new_rows / new_rows.sum(1)[:, None]
    expected = rows @ analysis.column_coordinates_ / analysis.singular_values_
    np.testing.assert_allclose(analysis.transform(form(new_rows)), expected, atol=1e-13)
    columns = new_columns / new_columns.sum(0)
    expected = columns.T @ analysis.row_coordinates_ / analysis.singular_values_
    np.testing.assert_allclose(analysis.transform_columns(form(new_columns)), expected, atol=1e-13)
    together = analysis.transform(form(new_rows))
    for i in range(len(new_rows)):
        alone = analysis.transform(form(new_rows[i : i + 1]))
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-12, atol=1e-15)


def test_profiles_come_back_and_sum_to_one():
    for shape in SHAPES:
        table = counts(shape)
        profiles = table / table.sum(1)[:, None]
        whole = CorrespondenceAnalysis(None).fit(table)
        assert whole.n_components_ == min(shape) - 1
        np.testing.assert_allclose(
            whole.inverse_transform(whole.row_coordinates_), profiles, rtol=0, atol=1e-13
        )
        few = CorrespondenceAnalysis(2).fit(table)
        back = few.inverse_transform(few.row_coordinates_)
        np.testing.assert_allclose(back.sum(1), np.ones(len(table)), rtol=1e-14)
        anywhere = few.inverse_transform(np.random.default_rng(0).normal(size=(5, 2)))
        np.testing.assert_allclose(anywhere.sum(1), np.ones(5), rtol=1e-13)


# Margins of zero, tables with few axes.


@pytest.mark.parametrize("form", FORMS)
def test_margins_of_zero_are_at_zero_with_one_warning(form):
    table = counts((12, 5))
    padded = np.insert(np.insert(table, 4, 0, axis=0), [1, 3], 0, axis=1)
    analysis = CorrespondenceAnalysis(3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        analysis.fit(form(padded))
    messages = [str(warning.message) for warning in caught]
    assert messages == [
        "2 of the columns and 1 of the rows sum to zero; their coordinates are zero."
    ]
    rows, columns = padded.any(1), padded.any(0)
    expected = CorrespondenceAnalysis(3).fit(table)
    for name in ATTRIBUTES:
        got, want = getattr(analysis, name), getattr(expected, name)
        if name.startswith(("row_", "column_")):
            kept = rows if name.startswith("row_") else columns
            np.testing.assert_array_equal(got[~kept], np.zeros_like(got[~kept]))
            got = got[kept]
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12, err_msg=name)
    with pytest.warns(UserWarning, match="^1 of the rows sum to zero"):
        np.testing.assert_array_equal(analysis.transform(form(np.zeros((1, 7)))), np.zeros((1, 3)))
    with pytest.warns(UserWarning, match="^1 of the columns sum to zero"):
        zero = analysis.transform_columns(form(np.zeros((13, 1))))
    np.testing.assert_array_equal(zero, np.zeros((1, 3)))


@pytest.mark.parametrize(("shape", "kept"), [((9, 3), 2), ((9, 2), 1), ((9, 1), 1), ((1, 9), 1)])
def test_more_components_than_there_are_give_one_warning(shape, kept):
    table = counts(shape) + 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        analysis = CorrespondenceAnalysis(5).fit(table)
    assert len(caught) == 1
    n, p = shape
    expected = (
        f"n_components=5 is more than a table of {n} rows and {p} columns has; {kept} is used."
    )
    assert str(caught[0].message) == expected
    assert analysis.n_components == 5
    assert analysis.n_components_ == kept
    assert analysis.row_coordinates_.shape == (n, kept)
    assert analysis.get_feature_names_out().tolist() == [
        f"correspondenceanalysis{i}" for i in range(kept)
    ]
    if min(shape) == 1:
        assert (analysis.row_coordinates_ == 0).all()
        assert analysis.p_value_ == 1.0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scaling", ["principal", "standard", "symmetric"])
def test_an_independent_table_has_no_map(scaling, form):
    table = np.outer([1.0, 2, 5, 3, 7, 11], [3, 1, 4, 1.5, 9]) / 7
    analysis = CorrespondenceAnalysis(2, scaling=scaling).fit(form(table))
    for name in ("row_coordinates_", "column_coordinates_", "eigenvalues_"):
        assert not getattr(analysis, name).any()
    assert analysis.total_inertia_ == pytest.approx(0, abs=1e-14)
    assert analysis.p_value_ == pytest.approx(1)
    profile = table[0] / table[0].sum()
    np.testing.assert_allclose(analysis.inverse_transform([[0.0, 0.0]])[0], profile, rtol=1e-14)
    np.testing.assert_array_equal(analysis.transform(form(np.eye(5))), np.zeros((5, 2)))


def test_axes_without_inertia_are_zero():
    rng = np.random.default_rng(0)
    table = rng.integers(1, 9, (40, 2)) @ rng.integers(1, 9, (2, 6))
    for form in FORMS:
        analysis = CorrespondenceAnalysis(4).fit(form(table))
        assert analysis.eigenvalues_[0] == pytest.approx(analysis.total_inertia_, rel=1e-12)
        np.testing.assert_array_equal(analysis.eigenvalues_[1:], np.zeros(3))
        np.testing.assert_array_equal(analysis.row_coordinates_[:, 1:], np.zeros((40, 3)))
        np.testing.assert_allclose(
            analysis.transform_columns(form(table)), analysis.column_coordinates_, atol=1e-13
        )


# Weights.


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_weights_count_rows(shape, form):
    table = counts(shape)
    weights = np.random.default_rng(0).integers(0, 4, len(table))
    weights[:2] = 0, 2
    weighted = CorrespondenceAnalysis(3).fit(form(table), sample_weight=weights)
    repeated = CorrespondenceAnalysis(3).fit(form(table.repeat(weights, axis=0)))
    same(weighted, repeated, OF_ALL)
    first = np.r_[0, weights.cumsum()[:-1]][weights > 0]
    np.testing.assert_allclose(
        weighted.row_coordinates_[weights > 0], repeated.row_coordinates_[first], atol=1e-12
    )
    masses = np.add.reduceat(repeated.row_masses_, first)
    np.testing.assert_allclose(weighted.row_masses_[weights > 0], masses)
    np.testing.assert_allclose(
        weighted.transform_columns(form(table)), weighted.column_coordinates_, atol=1e-12
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_weight_of_zero_is_absence_and_ones_are_none(form):
    table = counts((20, 5))
    weights = np.ones(20)
    same(
        CorrespondenceAnalysis().fit(form(table), sample_weight=weights),
        CorrespondenceAnalysis().fit(form(table)),
        rtol=0,
        atol=0,
    )
    weights[[3, 8]] = 0
    weighted = CorrespondenceAnalysis().fit(form(table), sample_weight=weights)
    absent = CorrespondenceAnalysis().fit(form(table[weights > 0]))
    same(weighted, absent, OF_ALL, rtol=0, atol=0)
    assert not weighted.row_masses_[[3, 8]].any()
    assert not weighted.row_contributions_[[3, 8]].any()
    np.testing.assert_array_equal(weighted.row_coordinates_, weighted.transform(form(table)))


def test_weights_that_sum_to_one_leave_the_map_and_have_no_p_value():
    table = counts((20, 5))
    weighted = CorrespondenceAnalysis(3).fit(table, sample_weight=np.full(20, 1 / 20.5))
    same(weighted, CorrespondenceAnalysis(3).fit(table), ATTRIBUTES[:-2])
    assert np.isnan(weighted.p_value_)


def test_the_order_of_rows_does_not_matter():
    table = counts((50, 6))
    order = np.random.default_rng(0).permutation(50)
    a, b = CorrespondenceAnalysis(4).fit(table), CorrespondenceAnalysis(4).fit(table[order])
    same(a, b, OF_ALL)
    np.testing.assert_allclose(a.row_coordinates_[order], b.row_coordinates_, atol=1e-12)


def test_directions_of_equal_strength_keep_their_sign():
    """Two columns of one mass: the entries of V are equal in size, but for rounding."""
    table = np.array([[7, 3], [2, 9], [5, 5], [1, 3], [5, 0]])
    table = np.vstack([table, table[:, ::-1]])
    results = [CorrespondenceAnalysis(1).fit(form(table)) for form in FORMS]
    results += [
        CorrespondenceAnalysis(1).fit(table[::-1]),
        CorrespondenceAnalysis(1).fit(table / 3),
    ]
    for analysis in results:
        assert analysis.column_coordinates_[0, 0] > 0


# Streams.


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("size", [1, 3, 50])
def test_a_stream_is_one_fit(shape, form, size):
    table = counts(shape)
    whole = CorrespondenceAnalysis(3).fit(form(table))
    stream = CorrespondenceAnalysis(3)
    for start in range(0, len(table), size):
        assert stream.partial_fit(form(table[start : start + size])) is stream
    same(stream, whole, OF_ALL)
    np.testing.assert_allclose(
        stream.transform(form(table)), whole.row_coordinates_, rtol=1e-9, atol=1e-12
    )


def test_streams_of_weights_and_of_dense_and_sparse_batches():
    table, weights = counts((40, 30)), np.random.default_rng(0).integers(0, 3, 40)
    whole = CorrespondenceAnalysis(3).fit(table, sample_weight=weights)
    stream = CorrespondenceAnalysis(3)
    for i, rows in enumerate(np.array_split(np.arange(40), 7)):
        stream.partial_fit(FORMS[i % 2](table[rows]), sample_weight=weights[rows])
        assert stream.n_components_ == 3  # in between, the axes of what has been seen
    same(stream, whole, OF_ALL)


def test_rows_of_a_stream_are_those_seen_last():
    table = counts((40, 6))
    whole = CorrespondenceAnalysis(3).fit(table)
    stream = CorrespondenceAnalysis(3).fit(table[:30]).partial_fit(table[30:])
    for name in ATTRIBUTES:
        if name.startswith("row_"):
            np.testing.assert_allclose(getattr(stream, name), getattr(whole, name)[30:], atol=1e-12)
    once = CorrespondenceAnalysis(3).partial_fit(table)
    same(once, whole, rtol=0, atol=0)
    np.testing.assert_array_equal(once.transform_columns(table), whole.transform_columns(table))


def test_the_axes_of_a_stream_are_found_when_asked_for(monkeypatch):
    solved = []
    solve = CorrespondenceAnalysis._solve
    monkeypatch.setattr(
        CorrespondenceAnalysis, "_solve", lambda self: (solved.append(self), solve(self))
    )
    stream = CorrespondenceAnalysis()
    for batch in np.array_split(counts((40, 6)), 10):
        stream.partial_fit(batch)
    assert solved == []
    assert stream.eigenvalues_.shape == stream.singular_values_.shape == (2,)
    assert len(solved) == 1


def test_a_buffer_may_be_used_again():
    table = counts((20, 6)).astype(float)
    buffer = np.empty((10, 6))
    stream = CorrespondenceAnalysis(3)
    for half in (table[:10], table[10:]):
        buffer[:] = half
        stream.partial_fit(buffer)
    buffer[:] = np.nan
    same(stream, CorrespondenceAnalysis(3).fit(table), OF_ALL)
    np.testing.assert_allclose(stream.row_coordinates_, stream.transform(table[10:]), rtol=1e-12)


@pytest.mark.parametrize("shape", [(60, 7), (16, 60), (20, 20), (400, 5)], ids=str)
def test_merging_in_any_order_is_one_fit(shape):
    table = counts(shape)
    whole = CorrespondenceAnalysis(3).fit(table)
    pieces = np.array_split(table, 4)
    parts = [CorrespondenceAnalysis(3).partial_fit(FORMS[i % 2](p)) for i, p in enumerate(pieces)]
    same(sum(parts), whole, OF_ALL)
    same(reduce(lambda a, b: b + a, parts), whole, OF_ALL)
    same((parts[0] + parts[1]) + (parts[2] + parts[3]), whole, OF_ALL)
    first = clone(parts[0]).partial_fit(pieces[0])
    assert first.merge(parts[1] + parts[3]).merge(parts[2]) is first
    same(first, whole, OF_ALL)
    np.testing.assert_allclose(first.transform(table), whole.row_coordinates_, atol=1e-12)
    for part, piece in zip(parts, pieces, strict=True):  # which are as they were
        same(part, clone(part).partial_fit(piece), OF_ALL)
    with pytest.raises(
        AttributeError, match=r"row_coordinates_ is about the rows of one table, and 4"
    ):
        _ = first.row_coordinates_
    assert not hasattr(first, "row_masses_")
    assert "CorrespondenceAnalysis" in first._repr_html_()


# Large and sparse.


@pytest.mark.parametrize("shape", [(170, 160), (160, 200), (900, 100)], ids=str)
def test_a_few_axes_of_a_large_table_are_those_of_the_svd(shape, monkeypatch):
    monkeypatch.setattr(_profiles, "FULL_SIZE", 50)
    rng = np.random.default_rng(0)
    groups = rng.gamma(0.3, 1, (4, shape[1]))
    table = rng.poisson(rng.dirichlet(np.full(4, 0.2), shape[0]) @ groups / 2) * 1.0
    table[:, 0] += 1
    table[0] += 1
    expected = textbook(table, 3)
    for form in FORMS[:2]:
        analysis = CorrespondenceAnalysis(3).fit(form(table))
        for name in ("eigenvalues_", "column_coordinates_", "total_inertia_", "row_coordinates_"):
            np.testing.assert_allclose(
                getattr(analysis, name), expected[name], rtol=1e-8, atol=1e-10, err_msg=name
            )
    again = CorrespondenceAnalysis(3).fit(form(table))
    np.testing.assert_array_equal(again.row_coordinates_, analysis.row_coordinates_)


def test_sparse_tables_are_not_made_dense():
    rng = np.random.default_rng(0)
    table = sp.random_array((20000, 10000), density=5e-4, rng=rng, format="csr")  # 1.6 GB if dense
    tracemalloc.start()
    with pytest.warns(UserWarning, match="sum to zero"):
        analysis = CorrespondenceAnalysis().fit(table)
    with pytest.warns(UserWarning, match="sum to zero"):
        analysis.transform(table)
    analysis.transform_columns(table[:, :50])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e7


def test_duplicate_entries_and_explicit_zeros_of_a_sparse_table():
    rows, columns = np.nonzero(SMOKING + 1)
    doubled = sp.coo_array(
        (
            np.r_[SMOKING.ravel(), -SMOKING.ravel() * 0, SMOKING.ravel()],
            (np.tile(rows, 3), np.tile(columns, 3)),
        )
    )
    same(CorrespondenceAnalysis(3).fit(doubled), CorrespondenceAnalysis(3).fit(2 * SMOKING))
    raw = sp.csr_array((5, 4))
    raw.data = np.repeat(SMOKING.ravel() / 2.0, 2)
    raw.indices = np.repeat(np.tile(np.arange(4), 5), 2)
    raw.indptr = np.arange(0, 41, 8)
    same(CorrespondenceAnalysis(3).fit(raw), CorrespondenceAnalysis(3).fit(SMOKING))


# The border.


def test_float32_comes_back_as_float32_and_is_computed_in_double():
    table = counts((300, 8))
    single = CorrespondenceAnalysis(3).fit(table.astype(np.float32))
    double = CorrespondenceAnalysis(3).fit(table)
    for name in ATTRIBUTES:
        value = getattr(single, name)
        assert isinstance(value, float) or value.dtype == np.float32
        np.testing.assert_allclose(value, getattr(double, name), rtol=1e-6, atol=1e-7)
    assert single.transform(table.astype(np.float32)).dtype == np.float32
    assert single.inverse_transform(single.row_coordinates_).dtype == np.float32


def test_tensors_stay_tensors():
    table = counts((30, 6))
    X, weights = torch.from_numpy(table).double(), torch.arange(30.0)
    with config_context(array_api_dispatch=True):
        analysis = CorrespondenceAnalysis(3).fit(X[:20], sample_weight=weights[:20])
        analysis.partial_fit(X[20:], sample_weight=weights[20:])
        both = analysis + clone(analysis).partial_fit(X)
        arrays = [
            value for name in ATTRIBUTES if not isinstance(value := getattr(analysis, name), float)
        ]
        arrays += [analysis.transform(X), analysis.inverse_transform(analysis.transform(X))]
        arrays += [both.transform(X), clone(analysis).fit_transform(X)]
        arrays += [clone(analysis).fit(X).transform_columns(X)]
        with pytest.raises(ValueError, match="must use the same namespace"):
            analysis.partial_fit(table)
    assert all(isinstance(array, torch.Tensor) for array in arrays)
    expected = CorrespondenceAnalysis(3).fit(table, sample_weight=np.arange(30))
    same(analysis, expected, OF_ALL)


@pytest.mark.parametrize("shape", [(60, 7), (7, 60)], ids=str)
def test_fitted_state_is_plain(shape):
    table = counts(shape)
    for form in FORMS:
        for analysis in (
            CorrespondenceAnalysis().fit(form(table)),
            CorrespondenceAnalysis().partial_fit(form(table)),
        ):
            dumped = pickle.dumps(analysis)
            assert b"torch" not in dumped
            loaded = pickle.loads(dumped).partial_fit(form(table))
            same(loaded, clone(analysis).fit(form(np.vstack([table, table]))), OF_ALL)
    analysis = CorrespondenceAnalysis().fit(table)
    dumped = skops.io.dumps(analysis)
    untrusted = skops.io.get_untrusted_types(data=dumped)
    assert all(name.startswith("skbasics.") for name in untrusted)
    loaded = skops.io.loads(dumped, trusted=untrusted)
    np.testing.assert_array_equal(loaded.transform(table), analysis.transform(table))


def test_the_table_is_left_as_it_is():
    for form in FORMS:
        table = form(counts((30, 6)) * 1.0)
        before = table.copy()
        CorrespondenceAnalysis().fit(table).transform(table)
        assert (table != before).sum() == 0


def test_data_frames_keep_their_names():
    frame = pd.DataFrame(SMOKING, columns=["none", "light", "medium", "heavy"])
    analysis = CorrespondenceAnalysis().set_output(transform="pandas").fit(frame)
    assert analysis.feature_names_in_.tolist() == ["none", "light", "medium", "heavy"]
    shown = analysis.transform(frame)
    assert list(shown.columns) == ["correspondenceanalysis0", "correspondenceanalysis1"]
    np.testing.assert_array_equal(analysis.fit_transform(frame), shown)
    np.testing.assert_allclose(analysis.transform_columns(frame), analysis.column_coordinates_)
    assert analysis.inverse_transform(shown).shape == (5, 4)
    with pytest.raises(ValueError, match="feature names"):
        analysis.partial_fit(frame[["light", "none", "medium", "heavy"]])
    swapped = CorrespondenceAnalysis().fit(frame[["light", "none", "medium", "heavy"]])
    with pytest.raises(ValueError, match=r"cannot merge: the columns are \['none', 'light'"):
        analysis.merge(swapped)


def test_it_stands_in_a_pipeline():
    table = counts((40, 6))
    pipe = make_pipeline(CorrespondenceAnalysis(3, scaling="standard"), StandardScaler())
    assert pipe.fit_transform(table).shape == (40, 3)
    coordinates = CorrespondenceAnalysis().fit_transform(table)
    assert coordinates.shape == (40, 2)


def test_the_copy_that_fit_transform_returns_is_the_callers():
    analysis = CorrespondenceAnalysis()
    analysis.fit_transform(SMOKING)[:] = 0
    assert analysis.row_coordinates_.any()


# What is refused.


def unchanged(analysis, learn, error, match):
    """The call fails with these words, and leaves no trace."""
    before = vars(analysis).copy()
    with pytest.raises(error, match=match):
        learn()
    assert vars(analysis).keys() == before.keys()
    assert all(vars(analysis)[name] is value for name, value in before.items())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_tables_leave_no_trace(form, method):
    fitted = CorrespondenceAnalysis().fit(SMOKING)
    for analysis in (
        CorrespondenceAnalysis(),
        fitted,
        CorrespondenceAnalysis().partial_fit(SMOKING),
    ):
        learn = getattr(analysis, method)
        negative = form(SMOKING - 3.0)
        unchanged(analysis, lambda: learn(negative), ValueError, "Negative values in data")  # noqa: B023
        missing = form(SMOKING * np.array([1, 1, 1, np.nan]))
        unchanged(analysis, lambda: learn(missing), ValueError, "NaN")  # noqa: B023
        empty = form(np.zeros((0, 4)))
        unchanged(analysis, lambda: learn(empty), ValueError, r"0 sample\(s\)")  # noqa: B023
        huge = form(np.full((3, 4), 1e308))
        with np.errstate(over="ignore"):
            unchanged(analysis, lambda: learn(huge), ValueError, "sum of the table is not finite")  # noqa: B023
        unchanged(
            analysis,
            lambda: learn(form(SMOKING), sample_weight=-np.ones(5)),  # noqa: B023
            ValueError,
            "Negative values in data passed to `sample_weight`",
        )


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_zeros_has_no_profiles(form):
    zeros = form(np.zeros((3, 4)))
    match = "The table sums to zero: it has no profiles to compare. Pass at least one row"
    for learn in (CorrespondenceAnalysis.fit, CorrespondenceAnalysis.partial_fit):
        analysis = CorrespondenceAnalysis()
        unchanged(analysis, lambda: learn(analysis, zeros), ValueError, match)  # noqa: B023
    weights = [0, 0, 1]
    only_empty = form(np.array([[1.0, 2], [3, 4], [0, 0]]))
    with pytest.raises(ValueError, match=match):
        CorrespondenceAnalysis().fit(only_empty, sample_weight=weights)
    stream = CorrespondenceAnalysis().fit(SMOKING)
    with pytest.warns(UserWarning, match="3 of the rows sum to zero"):
        assert not stream.partial_fit(zeros).row_coordinates_.any()
    same(stream, CorrespondenceAnalysis().fit(SMOKING), OF_ALL[:-1])


def test_a_stream_does_not_change_its_width():
    stream = CorrespondenceAnalysis().partial_fit(SMOKING)
    unchanged(
        stream,
        lambda: stream.partial_fit(SMOKING[:, :3]),
        ValueError,
        "X has 3 features, but CorrespondenceAnalysis is expecting 4 features",
    )


def test_an_interrupted_fit_leaves_no_trace(monkeypatch):
    analysis = CorrespondenceAnalysis().fit(SMOKING)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("skbasics.decomposition._correspondence.find_axes", interrupt)
    unchanged(analysis, lambda: analysis.fit(SMOKING * 2), KeyboardInterrupt, None)


def test_parameters_are_checked_in_scikit_learns_words():
    for parameters, match in (
        ({"n_components": 0}, "'n_components' parameter of CorrespondenceAnalysis must be an int"),
        (
            {"scaling": "biplot"},
            "'scaling' parameter of CorrespondenceAnalysis must be a str among",
        ),
        ({"device": "abacus"}, r"device='abacus' cannot be used: .* Use device=None"),
    ):
        for method in ("fit", "partial_fit"):
            analysis = CorrespondenceAnalysis(**parameters)
            unchanged(analysis, lambda: getattr(analysis, method)(SMOKING), ValueError, match)  # noqa: B023


def test_what_cannot_be_merged():
    analysis = CorrespondenceAnalysis().fit(SMOKING)
    wider = CorrespondenceAnalysis().fit(np.hstack([SMOKING, SMOKING]))
    for other, error, match in (
        (CorrespondenceAnalysis(1).fit(SMOKING), ValueError, "n_components is 2 here and 1 there"),
        (
            CorrespondenceAnalysis(scaling="standard").fit(SMOKING),
            ValueError,
            "scaling is 'principal' here and 'standard' there. Set them alike.",
        ),
        (wider, ValueError, "this table has 4 columns and the other 8"),
        (CorrespondenceAnalysis(), NotFittedError, "not fitted"),
        (StandardScaler(), TypeError, "merges with its own kind, not with StandardScaler"),
    ):
        unchanged(analysis, lambda: analysis.merge(other), error, match)  # noqa: B023
    with pytest.raises(NotFittedError):
        CorrespondenceAnalysis().merge(analysis)
    for other in (1, SMOKING, StandardScaler()):
        with pytest.raises(TypeError):
            _ = analysis + other
        with pytest.raises(TypeError):
            _ = other + analysis


def test_what_cannot_be_placed():
    analysis = CorrespondenceAnalysis(3).fit(SMOKING)
    with pytest.raises(
        ValueError, match=r"X has 4 rows, but the fitted table has 5\. A new column"
    ):
        analysis.transform_columns(SMOKING[:4])
    with pytest.raises(ValueError, match="Negative values in data"):
        analysis.transform_columns(-SMOKING)
    with pytest.raises(ValueError, match="Negative values in data"):
        analysis.transform(-SMOKING)
    with pytest.raises(ValueError, match="X has 2 coordinates a row, but the map has 3 axes"):
        analysis.inverse_transform(np.zeros((1, 2)))
    analysis.partial_fit(SMOKING)
    with pytest.raises(ValueError, match="needs the rows of one table, and 2 were put together"):
        analysis.transform_columns(SMOKING)
    for method in ("transform", "transform_columns", "inverse_transform", "get_feature_names_out"):
        with pytest.raises(NotFittedError):
            getattr(CorrespondenceAnalysis(), method)(SMOKING)
    with pytest.raises(AttributeError, match="has no attribute 'row_coordinates_'"):
        _ = CorrespondenceAnalysis().row_coordinates_
