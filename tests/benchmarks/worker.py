"""One contender of the benchmark: reads requests, fits, answers with numbers."""

import ast
import sys
import time
import warnings
from functools import lru_cache, partial
from importlib import import_module
from itertools import pairwise

import numpy as np
from sklearn.datasets import fetch_openml, load_breast_cancer, load_digits, load_iris
from sklearn.preprocessing import scale

warnings.simplefilter("ignore")


@lru_cache(maxsize=1)
def load(data: str, dtype: str, mnist: str) -> tuple[np.ndarray, np.ndarray]:
    """Return X in the dtype and integer labels."""
    if data in ("breast cancer", "iris"):
        loader = {"breast cancer": load_breast_cancer, "iris": load_iris}[data]
        X, y = loader(return_X_y=True)
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


def fit(name, mnist, data, hidden, n_epochs, dtype):
    """Fit in batches by Adam; return seconds and the loss reached."""
    X, y = load(data, dtype, mnist)
    start = time.perf_counter()
    model = FITS[name](X, y, hidden, n_epochs)
    return time.perf_counter() - start, model.loss_


def fit_lbfgs(name, mnist, data, hidden, dtype):
    """Fit by L-BFGS to its own end; return seconds, loss and iterations."""
    X, y = load(data, dtype, mnist)
    package, chosen = {
        "skbasics": ("skbasics", {"optimizer": "lbfgs"}),
        "scikit-learn": ("sklearn", {"solver": "lbfgs"}),
    }[name]
    mlp = import_module(f"{package}.neural_network").MLPClassifier(
        hidden, alpha=1.0, max_iter=100, random_state=0, **chosen
    )
    start = time.perf_counter()
    mlp.fit(X, y)
    return time.perf_counter() - start, mlp.loss_, mlp.n_iter_


def small_network(data, mnist, optimizer, **options):
    """Fit a small tanh network on all rows at once."""
    from skbasics import MLPClassifier

    X, y = load(data, "float64", mnist)
    mlp = MLPClassifier((5,), "tanh", optimizer=optimizer, alpha=1.0, batch_size=len(X))
    return mlp.set_params(random_state=0, **options).fit(X, y)


def newton(name, mnist, data):
    """Fit by Newton's method; return seconds, epochs, loss and the gradient's norm."""
    start = time.perf_counter()
    mlp = small_network(data, mnist, "newton", tol=1e-6)
    return time.perf_counter() - start, mlp.n_iter_, mlp.loss_, mlp.history_["gradient_norm"][-1]


def adam_until(name, mnist, data, loss):
    """Fit by Adam; return seconds and epochs until the loss was reached, or 0, and the lowest."""
    from skbasics import Adam

    mlp = small_network(data, mnist, Adam(0.01), max_iter=20000, tol=0, n_iter_no_change=10**6)
    reached = np.flatnonzero(mlp.history_["loss"] <= loss)
    epochs = int(reached[0]) + 1 if len(reached) else 0
    return mlp.history_["seconds"][:epochs].sum(), epochs, min(mlp.loss_curve_)


def starts(name, mnist, n_starts):
    """Take 200 steps of Adam on Rosenbrock's function from some starts; return the seconds."""
    import torch

    def rosenbrock(x):
        return 100 * (x[..., 1] - x[..., 0] ** 2) ** 2 + (1 - x[..., 0]) ** 2

    x0 = np.random.default_rng(0).uniform(-2, 2, (n_starts, 2))
    start = time.perf_counter()
    if name == "skbasics":
        from skbasics import Adam, minimize

        found = minimize(rosenbrock, x0, optimizer=Adam(0.01), max_iter=200, tol=0)
        return time.perf_counter() - start, float(np.median(found.fun))
    values = []
    for row in x0:
        parameter = torch.nn.Parameter(torch.from_numpy(row))
        optimizer = torch.optim.Adam([parameter], lr=0.01)
        for _ in range(200):
            optimizer.zero_grad()
            rosenbrock(parameter).backward()
            optimizer.step()
        values.append(float(rosenbrock(parameter.detach())))
    return time.perf_counter() - start, float(np.median(values))


@lru_cache(maxsize=1)
def digits_model(name):
    """Return a model fitted to the digits."""
    return FITS[name](*load("digits", "float32", ""), (100,), 5)


def predict(name, mnist):
    """Return the seconds of predicting one row."""
    model, row = digits_model(name), load("digits", "float32", "")[0][:1]
    for _ in range(50):
        model.predict(row)
    start = time.perf_counter()
    for _ in range(500):
        model.predict(row)
    return ((time.perf_counter() - start) / 500,)


REQUESTS = {
    function.__name__: function
    for function in (fit, fit_lbfgs, newton, adam_until, starts, predict)
}


def main() -> None:
    """Answer requests until the input ends."""
    name, mnist = sys.argv[1:]
    for line in sys.stdin:
        kind, *request = ast.literal_eval(line)
        print(*REQUESTS[kind](name, mnist, *request), flush=True)


if __name__ == "__main__":
    main()
