"""What must make no difference: how rows are weighed, ordered, cut, held in memory."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.utils import get_tags

from tests.reliability.injection import frozen
from tests.reliability.specimens import CLASSIFIERS, SPECIMENS

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not cover the posterior", "ignore:batch_size"
)


def each(specimens):
    return pytest.mark.parametrize("specimen", specimens, ids=lambda specimen: specimen.name)


WEIGHED = [specimen for specimen in SPECIMENS if specimen.weighs]
NETWORKS = [specimen for specimen in SPECIMENS if specimen.is_network]
ABOUT_ROWS = (  # of a correspondence analysis, which places rows of weight zero all the same
    "row_coordinates_",
    "row_contributions_",
    "row_cosine_similarities_",
    "row_masses_",
    "_row_weights",
    "_rows",
)
HIDDEN = ("seconds", "feature_names_in_", *ABOUT_ROWS)


def bits(fitted):
    """Return all that was learned, to the last bit."""
    return frozen(vars(fitted), HIDDEN)


def fixed(specimen, **parameters):
    """Return the estimator with a seed.

    A FastICA makes ten iterations: on these rows it would go on for hundreds, until rounding
    decides between optima.
    """
    own = {"random_state": 0, "max_iter": 10} if specimen.kind == "FastICA" else {"random_state": 0}
    known = specimen.estimator.get_params()
    return specimen.new(**{name: own[name] for name in own.keys() & known.keys()} | parameters)


def classes(specimen):
    """Return what the first batch of a stream must say."""
    return {"classes": ["a", "b", "c"]} if specimen.kind in CLASSIFIERS else {}


def ways_to_learn(specimen):
    """Yield functions of rows, targets and weights that return what was learned."""

    def fit(X, y, *weights):
        return fixed(specimen).fit(X, y, *weights)

    def fit_with_validation(X, y, *weights):
        return fixed(specimen, early_stopping=True).fit(X, y, *weights)

    def stream(X, y, *weights):
        given = {"sample_weight": weights[0]} if weights else {}
        learner = fixed(specimen).partial_fit(X, y, **given, **classes(specimen))
        return learner.partial_fit(X, y, **given)

    yield fit
    if specimen.is_network:
        yield fit_with_validation
    if specimen.streams:
        yield stream


WAYS = [
    pytest.param(specimen, learn, id=f"{specimen.name}: {learn.__name__}")
    for specimen in WEIGHED
    for learn in ways_to_learn(specimen)
]


@pytest.mark.parametrize(("specimen", "learn"), WAYS)
def test_a_weight_of_zero_is_a_row_that_is_not_there(specimen, learn):
    X, y = specimen.data(40)
    few, class_c = np.isin(np.arange(40), [0, 13, 22]), np.arange(40) % 3 == 2
    for absent in (few, class_c):
        target = None if y is None else y[~absent]
        assert bits(learn(X, y, 1.0 - absent)) == bits(learn(X[~absent], target))


@pytest.mark.parametrize(("specimen", "learn"), WAYS)
def test_weights_of_one_are_none(specimen, learn):
    X, y = specimen.data(40)
    assert bits(learn(X, y, np.ones(40))) == bits(learn(X, y))


def in_one_batch(specimen, X, y, weights=None, *, stream=False):
    """Return outputs after steps that see all rows, without what looks at where a row stands."""
    options = {"batch_size": 200, "dropout": 0.0}
    known = specimen.estimator.get_params()
    learner = fixed(specimen, **{name: options[name] for name in options.keys() & known.keys()})
    given = {} if weights is None else {"sample_weight": weights}
    for _ in range(2 if stream else 1):
        learn = learner.partial_fit if stream else learner.fit
        learn(X, y, **given, **(classes(specimen) if stream else {}))
    return specimen.outputs(learner, specimen.data(7, seed=5)[0])


def assert_close(outputs, expected, tolerance):
    assert outputs.keys() == expected.keys()
    for name, output in outputs.items():
        if output.dtype.kind == "U":
            np.testing.assert_array_equal(output, expected[name], err_msg=name)
        else:
            scale = np.abs(expected[name]).max()
            np.testing.assert_allclose(
                output, expected[name], rtol=tolerance, atol=tolerance * scale, err_msg=name
            )


def one_batch(specimens):
    """Parametrise by estimators and by `fit` and, where there is one, `partial_fit`."""
    pairs = [(s, stream) for s in specimens for stream in (False, True)[: 1 + s.streams]]
    ids = [f"{s.name}, {'a stream' if stream else 'a fit'}" for s, stream in pairs]
    return pytest.mark.parametrize(("specimen", "stream"), pairs, ids=ids)


@one_batch(WEIGHED)
def test_a_weight_of_two_is_the_row_twice(specimen, stream):
    X, y = specimen.data(40)
    counts = np.arange(40) % 3
    twice = np.repeat(np.arange(40), counts)
    weighted = in_one_batch(specimen, X, y, counts, stream=stream)
    again = in_one_batch(specimen, X[twice], None if y is None else y[twice], stream=stream)
    assert_close(weighted, again, 1e-9)


MAPS = ("UMAP", "ParametricUMAP")  # whose forces are drawn by the numbers of rows


@one_batch([specimen for specimen in SPECIMENS if specimen.kind not in MAPS])
def test_the_order_of_rows_makes_no_difference(specimen, stream):
    X, y = specimen.data(40)
    order = np.random.RandomState(1).permutation(40)
    mixed = in_one_batch(specimen, X[order], None if y is None else y[order], stream=stream)
    assert_close(mixed, in_one_batch(specimen, X, y, stream=stream), 1e-9)


MEANS = ("PCA", "CorrespondenceAnalysis", "OnlineMeanVar")  # and what minimises one


@each([s for s in WEIGHED if s.is_network or s.kind in MEANS])
def test_only_the_ratios_of_weights_count_in_a_mean(specimen):
    """Without a penalty, which stands against the sum of weights as a prior; bits, for four
    times a number is exact. (A batch norm and the density of a PCA divide by that sum less one.)
    """
    X, y = specimen.data(40)
    weights = np.random.RandomState(2).uniform(0.5, 2.0, 40)
    options = {"alpha": 0.0} if specimen.is_network else {}
    if "batch_norm" in specimen.estimator.get_params():
        options["batch_norm"] = False
    few, many = (
        specimen.outputs(fixed(specimen, **options).fit(X, y, sample_weight=scale * weights), X)
        for scale in (1, 4)
    )
    for name in few.keys() - ({"score_samples"} if specimen.kind == "PCA" else set()):
        np.testing.assert_array_equal(many[name], few[name], err_msg=name)


@each(NETWORKS)
def test_weights_of_validation_rows_count_rows(specimen):
    """Zeros are absent and ones are none, to the bit; twos are twice, to rounding."""
    X, y = specimen.data(40)
    X_val, y_val = specimen.data(30, seed=1)

    def fit(rows, weights=None):
        own = {} if y is None else {"y_val": y_val[rows]}
        estimator = fixed(specimen, early_stopping=True, n_iter_no_change=2)
        return estimator.fit(X, y, X_val=X_val[rows], sample_weight_val=weights, **own)

    all_rows, counts = np.arange(30), np.arange(30) % 3
    assert bits(fit(all_rows, np.ones(30))) == bits(fit(all_rows))
    assert bits(fit(all_rows, 1.0 * (counts > 0))) == bits(fit(all_rows[counts > 0]))
    weighted, repeated = fit(all_rows, counts), fit(np.repeat(all_rows, counts))
    for name in ("validation_loss", "validation_score"):
        np.testing.assert_allclose(weighted.history_[name], repeated.history_[name], rtol=1e-9)


ONE_PASS = ("OnlineMeanVar", "CorrespondenceAnalysis", "PCA", "VariationalRegressor")


@each([specimen for specimen in SPECIMENS if specimen.name in ONE_PASS])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_stream_of_one_batch_or_of_many_is_the_fit(specimen, weighted):
    X, y = specimen.data(40)
    weights = np.arange(40) % 3 + 0.5 if weighted else np.ones(40)
    whole = specimen.outputs(fixed(specimen).fit(X, y, sample_weight=weights), X)
    for n_batches in (1, 3, 20):
        stream = fixed(specimen)
        for rows in np.array_split(np.arange(40), n_batches):
            target = None if y is None else y[rows]
            stream.partial_fit(X[rows], target, sample_weight=weights[rows])
        assert_close(specimen.outputs(stream, X), whole, 1e-8)


@each(SPECIMENS)
def test_rows_are_predicted_alone_as_together(specimen):
    fitted = fixed(specimen).fit(*specimen.data())
    X = np.vstack([specimen.data(9, seed=3)[0], specimen.data(3)[0]])
    single = [specimen.outputs(fitted, row[None]) for row in X]
    together = specimen.outputs(fitted, X)
    alone = {name: np.concatenate([each[name] for each in single]) for name in together}
    assert_close(alone, together, 1e-10)


def strided(X):
    wide = np.full((2 * X.shape[0], 3 * X.shape[1]), np.nan)
    wide[::2, 1::3] = X
    return wide[::2, 1::3]


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


SAME = {
    "list": np.ndarray.tolist,
    "data frame": lambda X: pd.DataFrame(X, columns=list("wxyz")),
    "columns first": np.asfortranarray,
    "strided": strided,
    "read only": read_only,
    "whole numbers": lambda X: X.astype(np.int64),
    "swapped bytes": lambda X: X.astype(X.dtype.newbyteorder()),
    "objects": lambda X: X.astype(object),
}


def whole(specimen, n_rows=24, seed=0):
    X, y = specimen.data(n_rows, seed)
    return np.ceil(X), y


@each(SPECIMENS)
def test_how_rows_are_held_changes_not_a_bit(specimen, tmp_path):
    X, y = whole(specimen)
    X_new = whole(specimen, 11, seed=4)[0]
    expected = fixed(specimen).fit(X, y)
    outputs = specimen.outputs(expected, X_new)
    learned = frozen(vars(expected), HIDDEN[:2])

    def on_disk(X):
        np.save(tmp_path / f"{len(X)}.npy", X)
        return np.load(tmp_path / f"{len(X)}.npy", mmap_mode="r")

    for name, holding in (SAME | {"on disk": on_disk}).items():
        fitted = fixed(specimen).fit(holding(X), y)
        assert frozen(vars(fitted), HIDDEN[:2]) == learned, name
        assert frozen(specimen.outputs(fitted, holding(X_new))) == frozen(outputs), name


TARGETS = {
    "list": np.ndarray.tolist,
    "series": pd.Series,
    "strided": lambda y: np.repeat(y, 2)[::2],
    "objects": lambda y: y.astype(object),
    "read only": read_only,
}


@each(SPECIMENS)
def test_how_targets_and_weights_are_held_changes_not_a_bit(specimen):
    X, y = specimen.data()
    weights = np.arange(24.0) % 4
    if y is not None:
        expected = specimen.outputs(fixed(specimen).fit(X, y), X)
        for name, holding in TARGETS.items():
            outputs = specimen.outputs(fixed(specimen).fit(X, holding(y)), X)
            for method, output in outputs.items():
                np.testing.assert_array_equal(output, expected[method], err_msg=name)
    if specimen.weighs:
        expected = bits(fixed(specimen).fit(X, y, sample_weight=weights))
        for holding in (np.ndarray.tolist, pd.Series, lambda w: w.astype(int).repeat(2)[::2]):
            found = fixed(specimen).fit(X, y, sample_weight=holding(weights))
            assert bits(found) == expected


SPARSE = [specimen for specimen in SPECIMENS if get_tags(specimen.estimator).input_tags.sparse]
DENSE_OUTPUTS = {  # which centring would fill
    "OnlineMeanVar": {"transform"},
    "PCA": {"score_samples"},
}


@each(SPARSE)
@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_matrix])
def test_sparse_rows_are_the_same_rows(specimen, form):
    X, y = whole(specimen)
    X = np.where(X < 4, 0.0, X)
    # Of sparse rows a PCA has all components but one, as in scikit-learn.
    options = {"n_components": 3} if specimen.kind == "PCA" else {}
    fitted, expected = (fixed(specimen, **options).fit(rows, y) for rows in (form(X), X))
    expected = specimen.outputs(expected, X)
    assert_close(specimen.outputs(fitted, X), expected, 1e-10)
    for name in expected.keys() - DENSE_OUTPUTS.get(specimen.kind, set()):
        assert_close({name: getattr(fitted, name)(form(X))}, {name: expected[name]}, 1e-10)


@each(SPECIMENS)
def test_float32_and_float64_hold_the_same_rows(specimen):
    """At prediction; a fit on float32 is computed in float32."""
    X, _ = whole(specimen, 11, seed=4)
    fitted = fixed(specimen).fit(*whole(specimen))
    assert_close(specimen.outputs(fitted, X.astype(np.float32)), specimen.outputs(fitted, X), 1e-5)
