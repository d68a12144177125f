"""A fit that was saved half way goes on as if it had never been."""

import copy
import functools
import pickle

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import clone

from skbasics import (
    NAG,
    SGD,
    Adam,
    AdamW,
    Adaptive,
    Autoencoder,
    Cosine,
    ExponentialDecay,
    GradientDescent,
    InverseScaling,
    MLPClassifier,
    MLPRegressor,
    Momentum,
    OneCycle,
    OnlineMeanVar,
    RMSprop,
    SparseAutoencoder,
    StreamPipeline,
    VAETransformer,
)
from tests.reliability.saving import continued, in_a_fresh_process, same, seeded
from tests.reliability.specimens import SPECIMENS, Specimen, outputs

RATE = 0.02
OPTIMIZERS = {
    "gd": GradientDescent(RATE),
    "sgd": SGD(RATE),
    "momentum": Momentum(RATE, 0.8),
    "nag": NAG(RATE, 0.8),
    "rmsprop": RMSprop(RATE),
    "adam": Adam(RATE),
    "adamw": AdamW(RATE),
    "clipped": Momentum(RATE, max_gradient_norm=0.1),
    "inverse": SGD(InverseScaling(RATE)),
    "decay": NAG(ExponentialDecay(RATE, 0.1)),
    "adaptive": Momentum(Adaptive(RATE, patience=1)),
}
WHOLE_FITS = {"cosine": Adam(Cosine(RATE)), "one cycle": SGD(OneCycle(RATE))}
FAST = {"hidden_layer_sizes": (5,), "batch_size": 8, "max_iter": 3, "random_state": 0}
RICH = FAST | {"batch_norm": True, "dropout": 0.3}
KINDS = [
    Specimen("early", MLPRegressor(**RICH, early_stopping=True, validation_fraction=0.3)),
    Specimen("early classifier", MLPClassifier(**RICH, early_stopping=True, n_iter_no_change=1)),
    Specimen("in order", MLPRegressor(**FAST, shuffle=False)),
    Specimen("rich autoencoder", Autoencoder(**RICH)),
    Specimen("sparse", SparseAutoencoder(5, sparsity="topk", n_active=2, **RICH)),
    Specimen("vae", VAETransformer(**RICH, kl_warmup=4, optimizer="nag")),
    Specimen("early vae", VAETransformer(**FAST, early_stopping=True, validation_fraction=0.3)),
]
PIPELINE = StreamPipeline([("scale", OnlineMeanVar()), ("net", VAETransformer(**RICH))])


def stream(specimen):
    """Return calls of partial_fit."""
    calls = [("partial_fit", specimen.data(16, seed), {}) for seed in range(4)]
    if hasattr(specimen.estimator, "predict_proba") and specimen.data()[1] is not None:
        calls[0][2]["classes"] = np.unique(specimen.data()[1])
    return calls


def restarts(specimen):
    """Return calls of fit."""
    return [("fit", specimen.data(), {})] * 2


def cases():
    """Yield a name, an estimator, and the calls before and after it is saved."""
    streams, again = [Specimen("pipeline", PIPELINE)], []
    for specimen in [*SPECIMENS, *KINDS]:
        streams += [specimen] if specimen.streams else []
        again += [specimen] if "warm_start" in specimen.estimator.get_params() else []
    for name, optimizer in OPTIMIZERS.items():
        streams.append(Specimen(name, MLPRegressor(**RICH, optimizer=optimizer)))
    for name, optimizer in (OPTIMIZERS | WHOLE_FITS).items():
        again.append(Specimen(name, MLPClassifier(**RICH, optimizer=optimizer)))
    for specimen in streams:
        calls = stream(specimen)
        yield f"stream of {specimen.name}", (seeded(specimen), calls[:2], calls[2:])
    for specimen in again:
        estimator, calls = seeded(specimen).set_params(warm_start=True), restarts(specimen)
        yield f"again {specimen.name}", (estimator, calls[:1], calls[1:])


CASES = dict(cases())
EACH = pytest.mark.parametrize("name", CASES)
pytestmark = pytest.mark.filterwarnings("ignore:.*does not cover the posterior")


@functools.cache
def half_way(name):
    """Return the bytes of an estimator half way, and what follows."""
    estimator, before, after = CASES[name]
    return pickle.dumps(continued(clone(estimator), before)), after


@functools.cache
def never_saved(name):
    """Return the state of the estimator that was not interrupted."""
    estimator, before, after = CASES[name]
    return state(continued(clone(estimator), [*before, *after]))


def state(tree):
    """Return all that an estimator is, but for the seconds that it took."""
    if hasattr(tree, "get_params"):
        return {"": type(tree)} | state(vars(tree))
    if isinstance(tree, dict):
        return {name: state(value) for name, value in tree.items() if name != "seconds"}
    return type(tree)(map(state, tree)) if type(tree) in (list, tuple) else tree


@EACH
def test_copies_go_on(name, tmp_path):
    dumped, after = half_way(name)
    original = pickle.loads(dumped)
    zipped = skops.io.dumps(original)
    trusted = skops.io.get_untrusted_types(data=zipped)
    assert all(name.startswith(("skbasics.", "scipy.sparse._csr.")) for name in trusted)
    joblib.dump(original, tmp_path / "model")
    file = (tmp_path / "model").read_bytes()
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    for twin in (copy.deepcopy(original), skops.io.loads(zipped, trusted=trusted), mapped):
        same(state(continued(twin, after)), never_saved(name))
    same(state(original), state(pickle.loads(dumped)))  # which its copies left as it was
    assert (tmp_path / "model").read_bytes() == file


def test_in_a_fresh_process_they_predict_the_same_and_go_on():
    """One process for all, for its start takes longest."""
    going = [(continued, (pickle.loads(half_way(name)[0]), half_way(name)[1])) for name in CASES]
    using = [(outputs, (specimen.fitted(), specimen.data()[0])) for specimen in SPECIMENS]
    found = in_a_fresh_process(going + using)
    for name, gone in zip(CASES, found[: len(going)], strict=True):
        same(state(gone), never_saved(name))
    for (_, task), used in zip(using, found[len(going) :], strict=True):
        same(used, outputs(*task))
