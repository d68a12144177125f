"""What is refused, in which words."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris, make_friedman1
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from skbasics import bias_variance_curve, bias_variance_decomposition

X, y = make_friedman1(60, random_state=0)
IRIS = load_iris(return_X_y=True)
NAMES = np.array(["aa", "b", "cc"])[IRIS[1]]
TEST = {"X_test": X[:5], "y_test": y[:5]}


def refuses(match, estimator, X, y, **options):
    with pytest.raises(ValueError, match=match):
        bias_variance_decomposition(estimator, X, y, n_rounds=3, random_state=0, **options)


def test_a_loss_that_does_not_fit():
    refuses("LinearSVC has no predict_proba", LinearSVC(), *IRIS, loss="log_loss")
    refuses("Ridge has no predict_proba", Ridge(), X, y, loss="log_loss")
    refuses("Ridge is a regressor", Ridge(), *IRIS, loss="zero_one")
    strings = r'needs numbers, and y_test has (aa|b|cc)\. Pass loss="zero_one"'
    refuses(strings, GaussianNB(), IRIS[0], NAMES)
    refuses("has fractions such as", GaussianNB(), X, y, loss="zero_one")
    two = np.c_[IRIS[1], IRIS[1]]
    refuses("needs one label a row", GaussianNB(), IRIS[0], two, loss="zero_one")
    refuses("'loss' parameter of bias_variance_decomposition must be", Ridge(), X, y, loss="mse")


def test_a_class_is_no_estimator():
    with pytest.raises(TypeError, match="an instance"):
        bias_variance_decomposition(Ridge, X, y)


def test_true_values_that_do_not_fit():
    refuses("true_values has 3 rows and X_test has 5", Ridge(), X, y, true_values=[1, 2, 3], **TEST)
    refuses("has 3 rows and X has 60.*for each row of X", Ridge(), X, y, true_values=[1, 2, 3])
    refuses("has 1 rows and X has 60", Ridge(), X, y, true_values=1.0)
    wide = np.ones((5, 2))
    refuses(r"has the shape \(5, 2\) and the targets", Ridge(), X, y, true_values=wide, **TEST)
    classes = {"X_test": IRIS[0][:5], "y_test": NAMES[:5]}
    law = np.full((5, 2), 0.5)
    for loss in ("zero_one", "log_loss"):
        options = {"loss": loss, **classes}
        columns = r"has 2 columns of probabilities and there are 3 classes: \['aa', 'b', 'cc'\]"
        refuses(columns, GaussianNB(), IRIS[0], NAMES, true_values=law, **options)
        unnormed = "The sums lie between 2 and 2"
        refuses(unnormed, GaussianNB(), IRIS[0], NAMES, true_values=2 * law, **options)
    labels = {"true_values": NAMES[:5], **classes}
    kohavi = {"loss": "zero_one", "zero_one_definition": "kohavi_wolpert", **labels}
    refuses("true_values are labels, and", GaussianNB(), IRIS[0], NAMES, **kohavi)
    needs = r"needs the probabilities of the classes at each row of X_test, of shape \(5,"
    refuses(needs, GaussianNB(), IRIS[0], NAMES, loss="log_loss", **labels)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        ((X[:, :4], y), r"its X has the shape \(60, 4\) where X_test has \(5, 10\)"),
        ((X, y[:7]), "it returned 60 rows of X and 7 of y"),
        ((X[:0], y[:0]), "it returned 0 rows of X and 0 of y"),
        ((X, y, y), "it returned 3 things"),
        (X, r"it returned an array of shape \(60, 10\)"),
        (None, "it returned None"),
    ],
)
def test_samplers_that_return_no_training_set(drawn, message):
    refuses(f"in round 0.*{message}", Ridge(), X, y, resampling=lambda rng: drawn, **TEST)


def test_targets_of_a_sampler_that_are_others_than_those_of_the_test():
    two = "predict returned the shape"
    refuses(two, Ridge(), X, y, resampling=lambda rng: (X, np.c_[y, y]), **TEST)


def test_a_round_with_one_class_alone():
    def lone(rng):
        return IRIS[0][:50], NAMES[:50]

    options = {"X_test": IRIS[0], "y_test": NAMES, "loss": "zero_one", "resampling": lone}
    words = "In round 0 all 50 training rows have the class 'aa', and LogisticRegression refuses"
    refuses(words, LogisticRegression(), None, None, **options)
    refuses("larger train_size, or a sampler", LogisticRegression(), None, None, **options)
    fine = bias_variance_decomposition(GaussianNB(), None, None, n_rounds=2, **options)
    assert fine.expected_loss == pytest.approx(2 / 3)


class Broken(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        raise RuntimeError("out of order")


def test_other_errors_stay_themselves_and_name_the_round():
    with pytest.raises(RuntimeError, match="out of order") as caught:
        bias_variance_decomposition(Broken(), *IRIS, loss="zero_one")
    assert caught.value.__notes__ == ["This was raised by the fit of round 0."]


def test_data_that_are_missing_or_of_unequal_length():
    refuses("X_test was given without y_test", Ridge(), X, y, X_test=X)
    refuses("y_test was given without X_test", Ridge(), X, y, y_test=y)
    refuses("X and y may be None only together", Ridge(), None, None)
    refuses("X and y may be None only together", Ridge(), None, None, **TEST)
    refuses("X and y may be None only", Ridge(), X, None, resampling=lambda rng: (X, y), **TEST)
    refuses("inconsistent numbers of samples", Ridge(), X, y[:5])
    refuses("inconsistent numbers of samples", Ridge(), X, y, X_test=X, y_test=y[:5])
    refuses("y_test contains NaN", Ridge(), X, y, X_test=X[:2], y_test=[1.0, np.nan])


def test_numbers_out_of_range():
    for name, value in {"n_rounds": 1, "train_size": 1.5, "resampling": "jackknife"}.items():
        with pytest.raises(ValueError, match=f"'{name}' parameter"):
            bias_variance_decomposition(Ridge(), X, y, **{name: value})
    refuses("train_size=99 is 99 rows, and there are 60", Ridge(), X, y, train_size=99,
            resampling="subsample", **TEST)  # fmt: skip
    refuses("train_size=0.001 is 0 rows", Ridge(), X, y, train_size=0.001,
            resampling="subsample", **TEST)  # fmt: skip


def test_curves_of_nothing():
    with pytest.raises(ValueError, match="param_range is empty: pass the values of alpha"):
        bias_variance_curve(Ridge(), X, y, param_name="alpha", param_range=[])
    with pytest.raises(ValueError, match="Invalid parameter 'depth'"):
        bias_variance_curve(Ridge(), X, y, param_name="depth", param_range=[1])


def test_labels_in_other_words_are_told():
    words = np.array(["a", "b"])[np.arange(40) % 2]
    X = np.arange(40.0)[:, None]
    for loss in ("zero_one", "log_loss"):
        with pytest.raises(ValueError, match=r"none of them is in y_test, which has \['a', 'b'\]"):
            bias_variance_decomposition(
                GaussianNB(), X, words, loss=loss, n_rounds=3,
                resampling=lambda rng: (X, (words == "a").astype(int).astype(str)),
            )  # fmt: skip


def test_what_a_sampler_raises_names_the_round():
    with pytest.raises(ZeroDivisionError) as raised:
        bias_variance_decomposition(Ridge(), X, y, n_rounds=3, resampling=lambda rng: 1 / 0)
    assert raised.value.__notes__ == ["This was raised by the sampler in round 0."]


def test_labels_taken_for_numbers_are_worth_a_warning():
    with pytest.warns(UserWarning, match=r'would change if .* Pass loss="zero_one"'):
        bias_variance_decomposition(GaussianNB(), *IRIS, n_rounds=3)
