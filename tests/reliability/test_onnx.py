"""The plain module of a network is the same function, and so is its ONNX graph."""

import functools
import io
import re

import numpy as np
import onnxruntime
import pytest
import torch
from packaging.version import Version
from sklearn.base import clone

from skbasics import (
    Autoencoder,
    AvgPool2d,
    Conv2d,
    ConvNetClassifier,
    ConvNetRegressor,
    LocalResponseNorm,
    MaxPool2d,
    MLPClassifier,
    MLPRegressor,
    ParametricUMAP,
    SparseAutoencoder,
    VAETransformer,
)
from tests.reliability.saving import ROOT
from tests.reliability.specimens import SPECIMENS

RANDOM = np.random.RandomState(0)
ROWS = RANDOM.gamma(4.0, size=(24, 4))
SHARES = ROWS / ROWS.max()
IMAGES = RANDOM.normal(size=(24, 2, 9, 8))
CLASSES = np.arange(24) % 3
HOLES = np.where(RANDOM.uniform(size=ROWS.shape) < 0.2, np.nan, ROWS)
PAIRS = ROWS @ RANDOM.normal(size=(4, 2))

QUICK = {"max_iter": 3, "batch_size": 12, "random_state": 0}
RICH = QUICK | {"hidden_layer_sizes": (5, 4), "batch_norm": True, "dropout": 0.2}
LAYERS = [
    Conv2d(3, 3, padding="same"),
    LocalResponseNorm(3),
    MaxPool2d(2),
    Conv2d(4, (2, 1), stride=2, padding=1, groups=1),
    AvgPool2d((2, 1)),
]
IMAGE_NET = RICH | {"layers": LAYERS, "channels": "first"}
POOLED = IMAGE_NET | {"layers": [Conv2d(3, 3), MaxPool2d(2), Conv2d(4, 2), AvgPool2d(2)]}

NETWORKS = {
    "multi-class": (MLPClassifier(activation="gelu", **RICH), ROWS, CLASSES),
    "binary": (MLPClassifier(activation="elu", **RICH), ROWS, CLASSES > 0),
    "multi-label": (MLPClassifier(activation="tanh", **RICH), ROWS, np.c_[CLASSES, CLASSES] > 0),
    "counts": (MLPRegressor(loss="poisson", activation="silu", **QUICK), ROWS, CLASSES),
    "two targets": (MLPRegressor(activation="leaky_relu", **RICH), ROWS, PAIRS),
    "images": (ConvNetClassifier(activation="relu", **IMAGE_NET), IMAGES, CLASSES),
    "pooled images": (ConvNetClassifier(**POOLED), IMAGES, CLASSES),
    "numbers of images": (ConvNetRegressor(activation="softplus", **IMAGE_NET), IMAGES, ROWS[:, 0]),
    "autoencoder": (Autoencoder(activation="tanh", **RICH), ROWS, None),
    "yes-no autoencoder": (Autoencoder(loss="bernoulli", **RICH), SHARES, None),
    "cheap code": (SparseAutoencoder(5, sparsity="l1", **RICH), ROWS, None),
    "best of a code": (SparseAutoencoder(5, sparsity="topk", n_active=2, **RICH), ROWS, None),
    "variational": (VAETransformer(**RICH), ROWS, None),
    "yes-no variational": (VAETransformer(likelihood="bernoulli", **RICH), SHARES, None),
    "missing values": (VAETransformer(**QUICK), HOLES, None),
    "map with a way back": (
        ParametricUMAP((5,), n_neighbors=5, decoder=True, **QUICK),
        ROWS,
        None,
    ),
}
NETWORKS |= {
    each.name: (each.new(), *each.data())
    for each in SPECIMENS
    if hasattr(each.estimator, "to_torch")
}
EXPORTED = ["multi-class", "two targets", "pooled images", "autoencoder", "variational"]
EXPORTED += ["missing values", "best of a code", "map with a way back"]
LINKS = {
    "identity": lambda out: out,
    "exp": torch.exp,
    "softmax": lambda out: out.softmax(1),
    "logistic": torch.sigmoid,
}
each = pytest.mark.parametrize("name", NETWORKS)


@functools.cache
def fitted(name, dtype):
    estimator, X, y = NETWORKS[name]
    X = X.astype(dtype)
    return clone(estimator).fit(X, y), X


def images_or_rows(fitted, X):
    """Return rows as the module takes them."""
    X = torch.from_numpy(X)
    shape = getattr(fitted, "image_shape_", None)
    if shape is None or X.ndim == 4:
        return X
    return X.reshape(len(X), 1, *shape[:2])


def of_the_estimator(fitted, X):
    """Return what the module computes up to the link, and the codes on the way."""
    if hasattr(fitted, "predict_proba"):
        out = fitted.predict_proba(X)
        return out[:, 1:] if fitted.n_outputs_ == 1 else out, None
    if hasattr(fitted, "predict"):
        return fitted.predict(X).reshape(len(X), -1), None
    codes = fitted.transform(X)
    has_way_back = hasattr(fitted, "inverse_transform")
    return fitted.inverse_transform(codes) if has_way_back else codes, codes


@each
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
def test_the_module_is_the_same_function(name, dtype, tolerance):
    model, X = fitted(name, dtype)
    module, rows = model.to_torch(), images_or_rows(model, X)
    with torch.no_grad():
        out = LINKS[model.out_activation_](module(rows))
        codes = module.encoder(rows) if hasattr(module, "encoder") else None
    expected, expected_codes = of_the_estimator(model, X)
    assert str(out.dtype) == f"torch.{dtype}"
    scale = max(1.0, abs(expected).max())
    np.testing.assert_allclose(out.numpy(), expected, rtol=0, atol=tolerance * scale)
    assert (codes is None) == (expected_codes is None)
    if codes is not None:
        np.testing.assert_allclose(codes.numpy(), expected_codes, rtol=0, atol=tolerance * scale)


@each
def test_weights_are_saved_without_code(name, tmp_path):
    """What `torch.load` reads with ``weights_only`` makes another fit's module the same."""
    model, X = fitted(name, "float64")
    module, rows = model.to_torch(), images_or_rows(model, X)
    torch.save(module.state_dict(), tmp_path / "weights")
    other = model.to_torch()
    with torch.no_grad():
        for tensor in other.state_dict().values():
            tensor.zero_()
    other.load_state_dict(torch.load(tmp_path / "weights", weights_only=True))
    with torch.no_grad():
        torch.testing.assert_close(other(rows), module(rows), rtol=0, atol=0)


def graph_of(module, rows):
    """Return the graph as bytes, by torch's older exporter, which is quick."""
    graph = io.BytesIO()
    axes = {"rows": {0: "n"}, "out": {0: "n"}}
    names = {"input_names": ["rows"], "output_names": ["out"]}
    torch.onnx.export(module, (rows,), graph, dynamo=False, dynamic_axes=axes, **names)
    return graph.getvalue()


def runner(graph):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda rows: torch.from_numpy(session.run(None, {given.name: rows.numpy()})[0])


@pytest.mark.parametrize("name", EXPORTED)
@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The feature will be removed:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean")
def test_onnx(name):
    """Whether onnxruntime makes of any number of rows what the estimator does, in float32."""
    model, X = fitted(name, "float64")
    module, rows = model.to_torch().float(), images_or_rows(model, X).float()
    whole = runner(graph_of(module, rows[:5]))
    encoder = runner(graph_of(module.encoder, rows[:5])) if hasattr(module, "encoder") else None
    for n_rows in (24, 5, 1):
        expected, codes = of_the_estimator(model, X[:n_rows])
        out = LINKS[model.out_activation_](whole(rows[:n_rows]))
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
        if codes is not None:
            np.testing.assert_allclose(encoder(rows[:n_rows]), codes, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(
    Version(torch.__version__) < Version("2.7"), reason="torch 2.6 exports no batch normalisation"
)
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_the_example_of_the_documents(tmp_path, monkeypatch):
    """It is by torch's exporter of today, which is slow; here for images."""
    monkeypatch.chdir(tmp_path)
    model, X = fitted("images", "float64")
    text = (ROOT / "docs" / "saving.md").read_text()
    (code,) = re.findall(r"^```py\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    names = {"model": model, "X": X, "torch": torch}
    exec(code, names)
    np.testing.assert_allclose(names["logits"], model.decision_function(X), rtol=1e-5, atol=1e-5)
