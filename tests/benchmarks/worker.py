"""One contender of the benchmark: reads requests, fits, answers with numbers."""

import ast
import sys
import time
import warnings
from functools import lru_cache, partial
from importlib import import_module
from itertools import pairwise

import numpy as np
from sklearn.datasets import fetch_openml, load_breast_cancer, load_digits
from sklearn.preprocessing import scale

warnings.simplefilter("ignore")


@lru_cache(maxsize=1)
def load(data: str, dtype: str, mnist: str) -> tuple[np.ndarray, np.ndarray]:
    """Return X in the dtype and integer labels."""
    if data == "breast cancer":
        X, y = load_breast_cancer(return_X_y=True)
        X = scale(X)
    elif data == "digits":
        X, y = load_digits(return_X_y=True)
        X = X / 16
    elif mnist:
        with np.load(mnist) as arrays:
            X, y = arrays["Xtr"] / 255, arrays["ytr"]
    else:
        X, y = fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False)
        X, y = X[:60000] / 255, y[:60000].astype(int)
    return np.ascontiguousarray(X, dtype=dtype), y


def fit_mlp(package, X, y, hidden, n_epochs):
    """Fit the MLPClassifier of a package; the two take the same parameters here."""
    mlp = import_module(package).MLPClassifier(
        hidden, max_iter=n_epochs, n_iter_no_change=n_epochs + 1, random_state=0
    )
    return mlp.fit(X, y)


def fit_loop(X, y, hidden, n_epochs):
    """Fit with the loop one writes by hand: autograd, fused Adam, batches by index."""
    import torch
    from torch import nn

    n_classes = len(np.unique(y))
    n_outputs = n_classes if n_classes > 2 else 1
    widths = [X.shape[1], *hidden, n_outputs]
    layers = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out, dtype=getattr(torch, str(X.dtype))), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    binary = nn.functional.binary_cross_entropy_with_logits
    y = y.long() if n_outputs > 1 else y.to(X.dtype)[:, None]
    loss_function = nn.functional.cross_entropy if n_outputs > 1 else binary
    weights = [p for p in model.parameters() if p.ndim == 2]
    for _ in range(n_epochs):
        total = 0.0
        for index in torch.randperm(len(X)).split(200):
            optimizer.zero_grad()
            penalty = sum((w * w).sum() for w in weights)
            loss = loss_function(model(X[index]), y[index]) + 0.5e-4 / len(index) * penalty
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(index)
    model.loss_ = total / len(X)
    return model


FITS = {
    "skbasics": partial(fit_mlp, "skbasics.neural_network"),
    "scikit-learn": partial(fit_mlp, "sklearn.neural_network"),
    "torch loop": fit_loop,
}


@lru_cache(maxsize=1)
def digits_model(fit):
    """Return a model fitted to the digits."""
    return fit(*load("digits", "float32", ""), (100,), 5)


def time_prediction(fit) -> float:
    """Return the seconds of predicting one row."""
    model, row = digits_model(fit), load("digits", "float32", "")[0][:1]
    for _ in range(50):
        model.predict(row)
    start = time.perf_counter()
    for _ in range(500):
        model.predict(row)
    return (time.perf_counter() - start) / 500


def main() -> None:
    """Answer requests until the input ends."""
    name, mnist = sys.argv[1:]
    fit = FITS[name]
    for line in sys.stdin:
        kind, *request = ast.literal_eval(line)
        if kind == "predict":
            print(time_prediction(fit), flush=True)
            continue
        data, hidden, n_epochs, dtype = request
        X, y = load(data, dtype, mnist)
        start = time.perf_counter()
        model = fit(X, y, hidden, n_epochs)
        print(time.perf_counter() - start, model.loss_, flush=True)


if __name__ == "__main__":
    main()
