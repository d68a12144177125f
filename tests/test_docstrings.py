"""What is documented twice is documented alike, and everything public is documented."""

import inspect
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

import skbasics
from skbasics._documented import SITE

ROOT = Path(__file__).parents[1]
PUBLIC = [name for package in skbasics._PACKAGES.values() for name in package]
ESTIMATORS = [
    getattr(skbasics, name)
    for name in PUBLIC
    if inspect.isclass(getattr(skbasics, name))
    and issubclass(getattr(skbasics, name), BaseEstimator)
]
SHARED = (
    *("activation", "alpha", "batch_norm", "device", "early_stopping", "n_iter_no_change"),
    *("shuffle", "validation_fraction", "verbose", "warm_start"),
    *("feature_names_in_", "loss_curve_", "n_features_in_", "t_"),
)
"""What means the same wherever it stands; more may be said in later sentences."""

ELSEWHERE = {
    "activation": ("VariationalClassifier", "VariationalRegressor", *("ConvNet", "MLP")),
    "feature_names_in_": ("GridSearchCV", "RandomizedSearchCV"),
    "n_features_in_": ("GridSearchCV", "RandomizedSearchCV"),
    "verbose": ("GridSearchCV", "RandomizedSearchCV"),
    "warm_start": ("VariationalGaussianMixture",),
}
"""Where a name means another thing, or says what it shares in other words for a reason."""


def entries(subject):
    """Return what a numpydoc docstring says of each name, in one line."""
    found = {}
    for heading, text in sections(inspect.getdoc(subject)).items():
        if heading not in ("Parameters", "Attributes"):
            continue
        for block in re.split(r"\n(?=\S)", text.strip("\n")):
            head, _, body = block.partition("\n")
            for name in head.split(" : ")[0].split(", "):
                found[name.lstrip("*")] = " ".join(body.split())
    return found


def sections(text):
    """Return the sections of a numpydoc docstring by their headings."""
    parts = re.split(r"\n([A-Z][\w ]+)\n-{3,}\n", "\n" + text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def first_sentence(text):
    return re.split(r"(?<=[.:;]) |(?<=\.)$", text)[0].rstrip(".:;")


def test_shared_parameters_are_described_word_for_word_alike():
    said = defaultdict(lambda: defaultdict(list))
    for estimator in ESTIMATORS:
        for name, text in entries(estimator).items():
            others = ELSEWHERE.get(name, ())
            if name in SHARED and not estimator.__name__.startswith(tuple(others)):
                said[name][first_sentence(text)].append(estimator.__name__)
    assert set(said) == set(SHARED)
    assert not {name: dict(texts) for name, texts in said.items() if len(texts) > 1}


@pytest.mark.parametrize("pair", ["MLP", "ConvNet"])
def test_classifier_and_regressor_are_described_alike(pair):
    one, other = (entries(getattr(skbasics, pair + kind)) for kind in ("Classifier", "Regressor"))
    differ = {name for name in one.keys() & other.keys() if one[name] != other[name]}
    assert differ <= {"scoring", "early_stopping", "n_outputs_", "out_activation_"}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_every_parameter_is_described_in_order(estimator):
    if estimator.__name__ in ("StreamPipeline", "RandomizedSearchCV"):
        pytest.skip("documents what it adds to scikit-learn's")
    documented = list(entries(estimator))
    parameters = list(inspect.signature(estimator).parameters)
    assert documented[: len(parameters)] == parameters


def public_methods():
    """Return the methods of estimators and displays that are not scikit-learn's."""
    for name in PUBLIC:
        subject = getattr(skbasics, name)
        if not (subject in ESTIMATORS or name.endswith("Display")):
            continue
        for method, function in inspect.getmembers(subject, callable):
            home = getattr(function, "__module__", None) or ""
            if not method.startswith(("_", "get_", "set_")) and home.startswith("skbasics"):
                yield pytest.param(function, id=f"{name}.{method}")


@pytest.mark.parametrize("method", list(public_methods()))
def test_what_methods_take_is_described(method):
    described = sections(inspect.getdoc(method)).get("Parameters", "")
    parameters = [name for name in inspect.signature(method).parameters if name != "self"]
    missing = [
        p for p in parameters if not re.search(rf"^(.*, )?\**{p}\b", described, re.MULTILINE)
    ]
    assert not missing


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_is_on_the_page_of_the_api_and_has_an_example(name):
    subject = getattr(skbasics, name)
    assert re.search(rf"^   {name}$", (ROOT / "docs/api.rst").read_text(), re.MULTILINE)
    assert inspect.getdoc(subject)
    assert ">>> " in inspect.getdoc(subject)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_notebooks_lead_to_the_page_of_an_estimator(estimator):
    parts = {"estimator": BaseEstimator(), "param_grid": {}, "param_distributions": {}, "steps": []}
    signature = inspect.signature(estimator).parameters
    made = estimator(**{name: parts[name] for name in signature if name in parts})
    page = f"https://skbasics.readthedocs.io/en/stable/generated/skbasics.{estimator.__name__}.html"
    assert made._get_doc_link() == page


def test_notebooks_show_parameters_and_fitted_attributes():
    model = skbasics.PCA(2).fit([[0.0, 1, 2], [1, 0, 5], [2, 2, 2]])
    page = model._repr_html_()
    for text in ("n_components", "explained_variance_ratio_", model._get_doc_link(), "Fitted"):
        assert text in page
    assert "_scatter" not in page


def test_one_address_of_the_site():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Documentation"] == SITE
