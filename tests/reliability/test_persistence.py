"""Saved and loaded, an estimator is the same."""

import copy
import functools
import pickle
import re
import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import skops.io
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.model_selection import GridSearchCV as TheirGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

import skbasics
from skbasics import (
    PCA,
    Adam,
    Conv2d,
    ConvNetClassifier,
    Cosine,
    MaxPool2d,
    MLPRegressor,
)
from tests.reliability.saving import ROOT, same, seeded
from tests.reliability.specimens import SPECIMENS, outputs

pytestmark = pytest.mark.filterwarnings("ignore:.*does not cover the posterior")
EACH = pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
SAVING = ROOT / "docs" / "saving.md"
PLAIN = (bool, int, float, str, bytes, type(None), np.generic, np.dtype, np.random.RandomState)


@functools.cache
def saved(name):
    """Return a specimen fitted on its data, as bytes."""
    (specimen,) = (each for each in SPECIMENS if each.name == name)
    return pickle.dumps(specimen.fitted())


def fitted(specimen):
    return pickle.loads(saved(specimen.name))


def check_same(loaded, original, specimen):
    X = specimen.data()[0]
    same(outputs(loaded, X), outputs(original, X))


def not_plain(found, path="it", plain=PLAIN):
    """Yield where in a fitted estimator there is something that is not plain."""
    inside = {}
    if isinstance(found, dict):
        inside = {f"{path}[{key!r}]": value for key, value in found.items()}
        assert all(isinstance(key, (str, int, tuple)) for key in found), path
    elif isinstance(found, (list, tuple, set, frozenset)):
        inside = {f"{path}[{i}]": value for i, value in enumerate(found)}
    elif isinstance(found, np.ndarray):
        inside = dict(enumerate(found.ravel())) if found.dtype.hasobject else {}
    elif sp.issparse(found) or type(found).__module__.startswith("skbasics."):
        inside = {f"{path}.{name}": value for name, value in vars(found).items()}
    elif not isinstance(found, plain):
        yield f"{path}: {type(found)}"
    for name, value in inside.items():
        yield from not_plain(value, name, plain)


@EACH
def test_fitted_state_is_plain(specimen):
    assert list(not_plain(fitted(specimen))) == []


@EACH
def test_pickles_and_copies(specimen):
    original = fitted(specimen)
    for protocol in range(2, 6):
        loaded = pickle.loads(pickle.dumps(original, protocol))
        same(vars(loaded), vars(original))
    check_same(loaded, original, specimen)
    check_same(copy.deepcopy(original), original, specimen)
    same(vars(copy.copy(original)), vars(original))
    unfitted = clone(original)
    assert vars(unfitted) == unfitted.get_params(deep=False)
    for other in (pickle.loads(pickle.dumps(unfitted)), copy.deepcopy(unfitted)):
        assert vars(other) == vars(unfitted)


@EACH
@pytest.mark.parametrize("compress", [0, 3])
def test_joblib_files(specimen, compress, tmp_path):
    joblib.dump(fitted(specimen), tmp_path / "model", compress=compress)
    check_same(joblib.load(tmp_path / "model"), fitted(specimen), specimen)


@EACH
def test_read_only_maps_of_files(specimen, tmp_path):
    original = fitted(specimen)
    joblib.dump(original, tmp_path / "model")
    before = (tmp_path / "model").read_bytes()
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    check_same(mapped, original, specimen)
    assert (tmp_path / "model").read_bytes() == before


@pytest.mark.parametrize(
    "specimen",
    [each for each in SPECIMENS if get_tags(each.estimator).input_tags.sparse],
    ids=lambda specimen: specimen.name,
)
def test_sparse_rows_from_a_read_only_map(specimen, tmp_path):
    X, y = specimen.data()
    rows = sp.csr_matrix(np.where(X.min(1, keepdims=True) < X, X, 0))
    joblib.dump(rows, tmp_path / "rows")
    mapped = joblib.load(tmp_path / "rows", mmap_mode="r")
    assert not mapped.data.flags.writeable
    of_map, of_memory = (seeded(specimen).fit(each, y) for each in (mapped, rows))
    if specimen.kind != "OnlineMeanVar":  # which would have to fill zeros in
        use = "predict" if hasattr(of_map, "predict") else "transform"
        same(getattr(of_map, use)(mapped), getattr(of_memory, use)(rows))
    if specimen.streams and specimen.kind != "PCA":  # whose streams are dense
        of_map.partial_fit(mapped, y)


def told_types():
    """Return what docs/saving.md tells to trust, by estimator."""
    lines = re.findall(r"^\| `(\w+)` \| (`[a-z].*`) \|$", SAVING.read_text(), flags=re.MULTILINE)
    return {kind: set(re.findall(r"`([\w.]+)`", types)) for kind, types in lines}


def types_to_trust(estimator):
    return set(skops.io.get_untrusted_types(data=skops.io.dumps(estimator)))


@EACH
def test_skops_files(specimen):
    dumped = skops.io.dumps(fitted(specimen))
    trusted = sorted(told_types()[specimen.kind])
    check_same(skops.io.loads(dumped, trusted=trusted), fitted(specimen), specimen)
    with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException):
        skops.io.loads(dumped)


def test_types_that_skops_must_be_told_to_trust_are_ours_and_documented():
    needed = {specimen.kind: set() for specimen in SPECIMENS}
    for specimen in SPECIMENS:
        needed[specimen.kind] |= types_to_trust(fitted(specimen))
    assert needed == told_types()
    others = {name for names in needed.values() for name in names if name[:9] != "skbasics."}
    assert others == {"scipy.sparse._csr.csr_matrix"}
    for kind, names in needed.items():
        assert (others <= names) == kind.endswith("UMAP")


def test_values_add_their_types_for_skops():
    layers = [Conv2d(2, 2), MaxPool2d(2)]
    parts = types_to_trust(ConvNetClassifier(layers, optimizer=Adam(Cosine(0.1))))
    assert parts == {
        "skbasics.neural_network._convnet_classifier.ConvNetClassifier",
        "skbasics.neural_network._image_layers.Conv2d",
        "skbasics.neural_network._image_layers.MaxPool2d",
        "skbasics.optim._first_order.Adam",
        "skbasics.optim._schedules.Cosine",
    }


@EACH
def test_fitted_from_tensors(specimen):
    """Fitted attributes are tensors then, and all else is as plain as ever."""
    X, y = specimen.data()
    X = torch.from_numpy(X)
    y = y if y is None else torch.from_numpy(np.unique(y, return_inverse=True)[1] * 1.0)
    with config_context(array_api_dispatch=True):
        original = specimen.new().fit(X, y)
        assert list(not_plain(original, plain=(*PLAIN, torch.Tensor))) == []
        for twin in (pickle.loads(pickle.dumps(original)), copy.deepcopy(original)):
            same(outputs(twin, X), outputs(original, X))
            if specimen.streams:
                going = [copy.deepcopy(original).partial_fit(X, y), twin.partial_fit(X, y)]
                same(*(outputs(each, X) for each in going))


def indifferent(estimator, X, y=None):
    """Score anything."""
    return 0.0


@EACH
@pytest.mark.parametrize("search", [TheirGridSearchCV, skbasics.GridSearchCV])
def test_inside_searches_and_pipelines(specimen, search):
    pipeline = make_pipeline(FunctionTransformer(), specimen.new())
    found = search(pipeline, {}, scoring=indifferent, cv=2).fit(*specimen.data())
    best = found.best_estimator_
    for original in (found, best):
        for twin in (pickle.loads(pickle.dumps(original)), copy.deepcopy(original)):
            check_same(twin, original, specimen)
    assert list(not_plain(vars(best[-1]))) == []
    dumped = skops.io.dumps(best)
    trusted = skops.io.get_untrusted_types(data=dumped)
    check_same(skops.io.loads(dumped, trusted=trusted), best, specimen)


# The version.


def estimators():
    """Yield every estimator of the package, made anew."""
    yield from (specimen.new() for specimen in SPECIMENS)
    yield skbasics.GridSearchCV(MLPRegressor(), {})
    yield skbasics.RandomizedSearchCV(MLPRegressor(), {})
    yield skbasics.StreamPipeline([("pca", PCA())])


def saved_otherwise(estimator, monkeypatch, *, version, form):
    """Return an estimator as another version would have pickled it."""
    with monkeypatch.context() as other:
        other.setattr("skbasics.__version__", version)
        other.setattr("skbasics._versioned.STATE_FORMAT", form)
        return pickle.dumps(estimator)


def test_every_estimator_is_stamped():
    for estimator in estimators():
        state = estimator.__getstate__()
        stamps = state["_skbasics_version"], state["_skbasics_format"]
        assert stamps == (skbasics.__version__, 1)
        assert not any("_skbasics" in name for name in vars(estimator))
        assert not any("_skbasics" in name for name in vars(copy.deepcopy(estimator)))
        assert state.keys() - vars(estimator).keys() == {"_skbasics_version", "_skbasics_format"}


def test_another_format_is_refused(monkeypatch):
    for estimator in estimators():
        dumped = saved_otherwise(estimator, monkeypatch, version="7.1.0", form=9)
        with pytest.raises(ValueError, match=r"^This \w+ was saved by skbasics 7.1.0 in"):
            pickle.loads(dumped)
    dumped = saved_otherwise(PCA(), monkeypatch, version="7.1.0", form=9)
    with pytest.raises(ValueError, match="This PCA") as error:
        pickle.loads(dumped)
    assert str(error.value) == (
        "This PCA was saved by skbasics 7.1.0 in state format 9, and skbasics "
        f"{skbasics.__version__} reads format 1. Load it with the version that saved it, and fit "
        "it anew here or take a network along by to_torch()."
    )


def test_what_was_saved_before_there_were_stamps_is_refused(monkeypatch):
    pca = PCA().fit(np.eye(3))
    with monkeypatch.context() as before:
        before.setattr("skbasics._versioned.Versioned.__getstate__", lambda self: dict(vars(self)))
        dumped, zipped = pickle.dumps(pca), skops.io.dumps(pca)
    trusted = skops.io.get_untrusted_types(data=zipped)
    for load in (lambda: pickle.loads(dumped), lambda: skops.io.loads(zipped, trusted=trusted)):
        with pytest.raises(ValueError, match="saved by skbasics unknown in state format 0, and"):
            load()


def test_an_older_format_that_is_still_read(monkeypatch):
    dumped = saved_otherwise(PCA(2), monkeypatch, version=skbasics.__version__, form=1)
    monkeypatch.setattr("skbasics._versioned.STATE_FORMAT", 3)
    assert pickle.loads(dumped).n_components == 2
    monkeypatch.setattr("skbasics._versioned.OLDEST_FORMAT", 2)
    with pytest.raises(ValueError, match=r"in state format 1, and .* reads formats 2 to 3"):
        pickle.loads(dumped)


@pytest.mark.parametrize("version", ["0.0.9", "0.2.0", "1.1.0"])
def test_another_version_of_the_same_format_warns(version, monkeypatch):
    dumped = saved_otherwise(PCA(2), monkeypatch, version=version, form=1)
    text = f"skbasics.PCA from version {version} when using version {skbasics.__version__}"
    with pytest.warns(InconsistentVersionWarning, match=text):
        assert pickle.loads(dumped).n_components == 2


def test_a_patch_release_says_nothing(monkeypatch):
    dumped = saved_otherwise(PCA(2), monkeypatch, version="0.1.7", form=1)
    monkeypatch.setattr("skbasics.__version__", "0.1.2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pickle.loads(dumped).n_components == 2
