"""The experiment as users make it: estimators, data and labels of every kind, and bad input."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.datasets import load_iris, make_classification, make_friedman1
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from skbasics import BiasVariance, MLPRegressor, bias_variance_decomposition

X, y = make_friedman1(90, random_state=0)
IRIS = load_iris(return_X_y=True)
FOUR = make_classification(200, 6, n_informative=4, n_classes=4, random_state=0, flip_y=0.1)
TERMS = ("noise", "bias", "variance", "expected_loss")
QUICK = {"n_rounds": 7, "random_state": 0}


def terms(found):
    return [getattr(found, name) for name in TERMS]


def check_adds_up(found):
    total = found.noise + found.bias + found.variance
    assert found.expected_loss == pytest.approx(total, abs=1e-10)
    rows = found.per_sample
    np.testing.assert_allclose(
        rows["expected_loss"], rows["noise"] + rows["bias"] + rows["variance"], rtol=0, atol=1e-10
    )
    for name in TERMS:
        assert rows[name].mean() == pytest.approx(getattr(found, name), abs=1e-12)
        assert found.standard_errors[name] >= 0


LOSSES = [
    ("zero_one", "domingos"),
    ("zero_one", "kohavi_wolpert"),
    ("log_loss", "domingos"),
]


@pytest.mark.parametrize(("loss", "definition"), LOSSES)
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("known", ["nothing", "law", "repeats", "labels"])
def test_terms_add_up(loss, definition, n_classes, known):
    X, y = make_classification(
        150, 6, n_informative=4, n_classes=n_classes, random_state=1, flip_y=0.2
    )
    X_test, y_test, truth = X[100:], y[100:], None
    if known == "law":
        truth = np.random.RandomState(0).dirichlet(np.ones(n_classes), 50)
    elif known == "repeats":
        X_test = np.repeat(X_test[:20], 3, axis=0)[:50]
    elif known == "labels":
        if (loss, definition) != ("zero_one", "domingos"):
            return
        truth = np.random.RandomState(0).permutation(y_test)
    found = bias_variance_decomposition(
        GaussianNB(), X[:100], y[:100], X_test=X_test, y_test=y_test, loss=loss,
        zero_one_definition=definition, true_values=truth, n_rounds=15, random_state=0,
    )  # fmt: skip
    check_adds_up(found)
    assert found.variance != 0
    assert (found.noise != 0) == (known != "nothing")
    if known != "law":  # the loss is that of the y seen, and of a new y where their law is known
        assert found.expected_loss == pytest.approx(found.observed_loss, abs=1e-10)
    if definition == "domingos" and loss == "zero_one":
        net = found.variance_unbiased - found.variance_biased
        assert found.variance == pytest.approx(net, abs=1e-12)
        assert found.variance_biased > 0


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("known", ["nothing", "truth", "repeats"])
def test_terms_of_squared_error_add_up(n_outputs, known):
    targets = y if n_outputs == 1 else np.stack([y, y**2, -y], axis=1)
    X_test, y_test = X[60:], targets[60:]
    truth = y_test + 0.5 if known == "truth" else None
    if known == "repeats":
        X_test = np.repeat(X_test[:10], 3, axis=0)
    found = bias_variance_decomposition(
        DecisionTreeRegressor(), X[:60], targets[:60], X_test=X_test, y_test=y_test,
        true_values=truth, **QUICK,
    )  # fmt: skip
    check_adds_up(found)
    assert (found.noise != 0) == (known != "nothing")
    assert found.per_sample["main_prediction"].shape == y_test.shape
    if known == "truth":
        assert found.noise == pytest.approx(0.25)


def by_hand(estimator, X, y, X_test, n_rounds, loss):
    """Return the mean loss of the loop that mlxtend runs, with our draws."""
    generator = np.random.RandomState(0)
    generator.randint(np.iinfo(np.int32).max)  # the split's seed, drawn whether used or not
    seeds = generator.randint(np.iinfo(np.int32).max, size=(n_rounds, 2))
    found = []
    for seed, _ in seeds:
        rows = np.random.RandomState(seed).randint(0, len(X), len(X))
        found.append(loss(clone(estimator).fit(X[rows], y[rows])))
    return np.mean(found)


def test_expected_losses_are_those_of_a_loop():
    (X, y), options = FOUR, {"n_rounds": 12, "random_state": 0}
    train, test = slice(0, 150), slice(150, 200)
    options |= {"X_test": X[test], "y_test": y[test]}
    model = GaussianNB()

    def ours(estimator, loss):
        return bias_variance_decomposition(estimator, X[train], y[train], loss=loss, **options)

    def loop(estimator, loss):
        return by_hand(estimator, X[train], y[train], X[test], 12, loss)

    wrong = loop(model, lambda fitted: (fitted.predict(X[test]) != y[test]).mean())
    assert ours(model, "zero_one").expected_loss == pytest.approx(wrong, abs=1e-12)
    logs = loop(model, lambda fitted: log_loss(y[test], fitted.predict_proba(X[test])))
    assert ours(model, "log_loss").expected_loss == pytest.approx(logs, abs=1e-10)
    squared = loop(Ridge(), lambda fitted: ((fitted.predict(X[test]) - y[test]) ** 2).mean())
    assert ours(Ridge(), "squared_error").expected_loss == pytest.approx(squared, abs=1e-10)


def test_expected_loss_is_mlxtends():
    evaluate = pytest.importorskip("mlxtend.evaluate")
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    theirs = np.random.RandomState(5)  # mlxtend's generator for random_seed=5

    def same_draws(rng):
        rows = theirs.choice(np.arange(len(X_train)), size=len(X_train), replace=True)
        return X_train[rows], y_train[rows]

    ours = bias_variance_decomposition(
        Ridge(), None, None, X_test=X_test, y_test=y_test, n_rounds=20, resampling=same_draws
    )
    loss, *_ = evaluate.bias_variance_decomp(
        Ridge(), X_train, y_train, X_test, y_test, loss="mse", num_rounds=20, random_seed=5
    )
    assert ours.expected_loss == pytest.approx(loss, abs=1e-10)


@pytest.mark.parametrize("loss", ["zero_one", "log_loss"])
def test_labels_of_every_kind_are_the_same_experiment(loss):
    X, y = IRIS
    options = {"loss": loss, **QUICK}
    found = bias_variance_decomposition(DecisionTreeClassifier(), X, y, **options)
    names = np.array(["aa", "b", "cc"])
    for labels in (names[y], names[y].astype(object), y - 1, y.astype(float), list(names[y])):
        again = bias_variance_decomposition(DecisionTreeClassifier(), X, labels, **options)
        assert terms(again) == terms(found)
    if loss == "zero_one":
        strings = bias_variance_decomposition(DecisionTreeClassifier(), X, names[y], **options)
        main = names[found.per_sample["main_prediction"]]
        np.testing.assert_array_equal(strings.per_sample["main_prediction"], main)


@pytest.mark.parametrize("loss", ["zero_one", "log_loss"])
def test_two_signs_as_labels(loss):
    X, y = make_classification(80, random_state=0)
    found = bias_variance_decomposition(GaussianNB(), X, y, loss=loss, **QUICK)
    signs = bias_variance_decomposition(GaussianNB(), X, 2 * y - 1, loss=loss, **QUICK)
    assert terms(found) == terms(signs)


class NeedsFrames(RegressorMixin, BaseEstimator):
    """A mean of one named column."""

    def fit(self, X, y):
        assert isinstance(X, pd.DataFrame)
        self.mean_ = float(X["x3"].mean())
        return self

    def predict(self, X):
        return X["x3"].to_numpy() * self.mean_


def test_frames_stay_frames():
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(10)], index=np.arange(90)[::-1])
    found = bias_variance_decomposition(NeedsFrames(), frame, pd.Series(y, index=frame.index))
    assert found.variance > 0


def test_frames_lists_sparse_rows_and_tensors_are_the_same_experiment():
    neighbours = KNeighborsRegressor(algorithm="brute")
    found = bias_variance_decomposition(neighbours, X, y, **QUICK)
    for form in (pd.DataFrame, sp.csr_array, sp.coo_array, lambda X: X.tolist()):
        again = bias_variance_decomposition(neighbours, form(X), list(y), **QUICK)
        np.testing.assert_allclose(terms(again), terms(found), rtol=1e-6)
    model = MLPRegressor((5,), max_iter=5)
    found = bias_variance_decomposition(model, X, y, **QUICK)
    for form in (pd.DataFrame, lambda X: pl.DataFrame(X, schema=[f"x{i}" for i in range(10)])):
        again = bias_variance_decomposition(model, form(X), pd.Series(y), **QUICK)
        np.testing.assert_allclose(terms(again), terms(found), rtol=1e-10)
    tensors = bias_variance_decomposition(model, torch.from_numpy(X), torch.from_numpy(y), **QUICK)
    np.testing.assert_allclose(terms(tensors), terms(found), rtol=1e-10)


def test_texts_through_a_pipeline():
    from sklearn.feature_extraction.text import CountVectorizer

    texts = ["red apple", "green apple", "red car", "green car", "apple", "car"] * 10
    labels = ["fruit", "fruit", "thing", "thing", "fruit", "thing"] * 10
    model = make_pipeline(CountVectorizer(), LogisticRegression())
    found = bias_variance_decomposition(model, texts, labels, loss="log_loss", **QUICK)
    check_adds_up(found)
    assert found.variance > 0


def test_equal_rows_are_found_in_every_kind_of_data():
    X = np.round(IRIS[0][:, :2])
    options = {"loss": "zero_one", **QUICK}
    found = bias_variance_decomposition(GaussianNB(), X, IRIS[1], **options)
    assert found.noise != 0
    frames = bias_variance_decomposition(GaussianNB(), pd.DataFrame(X), IRIS[1], **options)
    assert terms(frames) == terms(found)
    model = LinearSVC(random_state=0)
    dense = bias_variance_decomposition(model, X, IRIS[1], **options)
    sparse = bias_variance_decomposition(model, sp.csr_array(X), IRIS[1], **options)
    assert dense.noise != 0
    np.testing.assert_allclose(terms(sparse), terms(dense), atol=0.02)
    signed = np.where(X[:, :1] > 5, 0.0, -0.0)
    zeros = bias_variance_decomposition(GaussianNB(), np.c_[X, signed], IRIS[1], **options)
    same = bias_variance_decomposition(GaussianNB(), np.c_[X, 0 * X[:, :1]], IRIS[1], **options)
    assert terms(zeros) == terms(same)


def test_a_few_rows_that_happen_to_be_equal_do_not_set_the_noise_of_all():
    X_test, y_test = X[60:80].copy(), y[60:80]
    X_test[:9:3] = X_test[0]
    options = {"y_test": y_test, **QUICK}
    few = bias_variance_decomposition(Ridge(), X[:60], y[:60], X_test=X_test, **options)
    assert few.noise == 0
    X_test[:10] = X_test[0]
    many = bias_variance_decomposition(Ridge(), X[:60], y[:60], X_test=X_test, **options)
    assert many.noise == pytest.approx(y_test[:10].var(ddof=1))


def test_without_test_rows_a_third_is_held_out():
    seen = []

    class Watches(Ridge):
        def fit(self, X, y):
            seen.append(X)
            return super().fit(X, y)

    f = X[:, 0]
    found = bias_variance_decomposition(Watches(), X, y, true_values=f, **QUICK)
    assert [len(part) for part in seen] == [60] * 7
    rows = {tuple(row) for part in seen for row in part}
    held_out = [i for i in range(90) if tuple(X[i]) not in rows]
    assert len(found.per_sample["bias"]) == 30
    noise = np.sort(((y - f) ** 2)[held_out])
    assert np.isin(found.per_sample["noise"], noise).all()  # the true values went along


def test_subsamples_are_without_replacement():
    sizes = []

    class Watches(Ridge):
        def fit(self, X, y):
            sizes.append(len(np.unique(X, axis=0)))
            return super().fit(X, y)

    options = {"X_test": X, "y_test": y, "resampling": "subsample", **QUICK}
    for train_size in (0.5, 0.7, 20):
        bias_variance_decomposition(Watches(), X, y, train_size=train_size, **options)
    assert sizes == [45] * 7 + [63] * 7 + [20] * 7
    whole = bias_variance_decomposition(LinearRegression(), X, y, train_size=1.0, **options)
    assert whole.variance == pytest.approx(0, abs=1e-20)


def test_seeds():
    model = RandomForestClassifier(3)
    options = {"loss": "zero_one", "n_rounds": 6}
    one = bias_variance_decomposition(model, *IRIS, random_state=1, **options)
    assert terms(one) == terms(
        bias_variance_decomposition(model, *IRIS, random_state=1, n_jobs=2, **options)
    )
    assert terms(one) != terms(bias_variance_decomposition(model, *IRIS, random_state=2, **options))
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    again = bias_variance_decomposition(model, *IRIS, random_state=1, **options)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert terms(again) == terms(one)
    generator, same = np.random.RandomState(0), np.random.RandomState(0)
    states = [
        bias_variance_decomposition(model, *IRIS, random_state=state, **options)
        for state in (generator, same, generator)
    ]
    assert terms(states[0]) == terms(states[1])
    assert terms(states[0]) != terms(states[2])


def test_fewer_rounds_are_the_first_of_more():
    seen = []

    class Watches(Ridge):
        def fit(self, X, y):
            seen.append(y.sum())
            return super().fit(X, y)

    for n_rounds in (3, 5):
        bias_variance_decomposition(Watches(), X, y, n_rounds=n_rounds, random_state=0)
    assert seen[:3] == seen[3:6]


def test_a_seed_of_the_estimator_is_kept_and_none_is_seeded():
    def same(rng):
        return X[:60], y[:60]

    options = {"X_test": X[60:], "y_test": y[60:], "resampling": same, **QUICK}
    tree = DecisionTreeRegressor(splitter="random")
    assert bias_variance_decomposition(tree, None, None, **options).variance > 0
    tree.set_params(random_state=3)
    assert bias_variance_decomposition(tree, None, None, **options).variance == 0
    piped = make_pipeline(StandardScaler(), DecisionTreeRegressor(splitter="random"))
    assert bias_variance_decomposition(piped, None, None, **options).variance > 0
    piped.set_params(decisiontreeregressor__random_state=3)
    assert bias_variance_decomposition(piped, None, None, **options).variance == 0


def test_the_estimator_and_the_data_are_not_touched():
    model = make_pipeline(StandardScaler(), DecisionTreeRegressor())
    before, copies = repr(model.get_params()), (X.copy(), y.copy())
    bias_variance_decomposition(model, X, y, **QUICK)
    assert repr(model.get_params()) == before
    assert not hasattr(model[0], "mean_")
    assert not hasattr(model[1], "tree_")
    np.testing.assert_array_equal(X, copies[0])
    np.testing.assert_array_equal(y, copies[1])


def test_a_round_without_a_class():
    """Its column has the probability zero, clipped as scikit-learn's log_loss clips."""
    X, y = np.arange(8.0)[:, None], np.array(list("aabbccaa"))
    draws = iter([[0, 1, 2, 3], [0, 1, 4, 5]] * 2)

    def sampler(rng):
        rows = next(draws)
        return X[rows], y[rows]

    options = {"X_test": X[2:4], "y_test": y[2:4], "resampling": sampler, "n_rounds": 2}
    tree = DecisionTreeClassifier()
    found = bias_variance_decomposition(tree, None, None, loss="log_loss", **options)
    expected = (log_loss(list("bb"), [[0, 1, 0]] * 2, labels=list("abc"))) / 2
    expected += log_loss(list("bb"), [[0, 0, 1]] * 2, labels=list("abc")) / 2
    assert found.expected_loss == pytest.approx(expected)
    assert found.per_sample["main_prediction"].shape == (2, 3)
    wrong = bias_variance_decomposition(tree, None, None, loss="zero_one", **options)
    assert wrong.expected_loss == 0.5
    assert wrong.bias + wrong.variance == 0.5


def test_the_result_shows_its_terms():
    found = bias_variance_decomposition(GaussianNB(), *FOUR, loss="zero_one", **QUICK)
    assert isinstance(found, BiasVariance)
    lines = repr(found).split("\n")
    assert lines[0] == "BiasVariance(loss='zero_one', 'domingos', n_rounds=7)"
    assert [line.split()[0] for line in lines[1:]] == ["noise", "bias", "variance", "expected"]
    assert f"rows right {found.variance_unbiased:+.4g}, wrong" in lines[3]
    assert "squared bias" in repr(bias_variance_decomposition(Ridge(), X, y, **QUICK))
    with pytest.raises(AttributeError):
        found.bias = 0.0


def test_a_bar(capsys):
    bias_variance_decomposition(Ridge(), X, y, verbose=True, **QUICK)
    assert "7/7" in capsys.readouterr().err
    bias_variance_decomposition(Ridge(), X, y, **QUICK)
    assert capsys.readouterr().err == ""


class Warns(Ridge):
    def fit(self, X, y):
        warnings.warn("too hot", RuntimeWarning, stacklevel=2)
        if y.sum() > 880:
            warnings.warn("too cold", UserWarning, stacklevel=2)
        return super().fit(X, y)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_what_many_rounds_warn_of_is_said_once(n_jobs):
    with pytest.warns() as caught:
        bias_variance_decomposition(Warns(), X, y, n_jobs=n_jobs, **QUICK)
    said = [(warning.category, str(warning.message)) for warning in caught]
    assert said[0] == (RuntimeWarning, "too hot (in 7 of 7 rounds)")
    assert len(said) == 2
    assert said[1][1].startswith("too cold (in ")
    assert {warning.filename for warning in caught} == {__file__}
