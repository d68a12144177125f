"""Time Bayesian models beside their neighbours: ``python tests/benchmarks/variational.py``.

The two sides of a row take turns in one process, each with the same number of threads, and the
ratio is the median of paired rounds. BayesianRidge of scikit-learn finds the same posterior up to
its priors of the scales; LogisticRegression finds a point where ours finds a Gaussian, and judges
it; the no-U-turn sampler draws what full rank approximates.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import BayesianRidge, LogisticRegression
from threadpoolctl import threadpool_limits

from skbasics import VariationalClassifier, VariationalRegressor


def regression(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows, and a noisy linear function of them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p))
    return X, X @ rng.normal(size=p) + rng.normal(size=n)


def classes(n: int, p: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows, and noisy classes of them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p))
    return X, (X @ rng.normal(size=(p, k)) + rng.gumbel(size=(n, k))).argmax(1)


def seconds(fit: Callable[[], object]) -> float:
    """Return how long a fit takes."""
    start = time.perf_counter()
    fit()
    return time.perf_counter() - start


def row(label: str, ours: Callable, theirs: Callable, rounds: int) -> str:
    """Return both medians in milliseconds, and the median ratio of paired rounds."""
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    own, other = (1000 * statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return f"| {label} | {own:.1f} | {other:.1f} | {ratio:.2f} |"


def main() -> None:
    """Run every comparison and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--nuts", action="store_true", help="also against the sampler (slow)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    print(f"{arguments.threads} threads, {arguments.rounds} rounds, medians\n")
    print("| rows x features | ours ms | other ms | ratio |")
    print("|---" * 4 + "|")
    with threadpool_limits(arguments.threads):
        for n, p in ((500, 10), (20000, 20), (2000, 200)):
            X, y = regression(n, p)
            fits = VariationalRegressor().fit, BayesianRidge().fit
            pair = [lambda fit=fit, X=X, y=y: fit(X, y) for fit in fits]
            print(row(f"{n} x {p}, BayesianRidge", *pair, arguments.rounds))
        for n, p, k in ((500, 10, 2), (20000, 20, 2), (1000, 10, 4)):
            X, y = classes(n, p, k)
            fits = VariationalClassifier().fit, LogisticRegression(C=1.0).fit
            pair = [lambda fit=fit, X=X, y=y: fit(X, y) for fit in fits]
            label = f"{n} x {p}, {k} classes, LogisticRegression"
            print(row(label, *pair, arguments.rounds))
        if arguments.nuts:
            X, y = classes(200, 5, 2)
            fits = VariationalClassifier().fit, VariationalClassifier(inference="nuts").fit
            pair = [lambda fit=fit, X=X, y=y: fit(X, y) for fit in fits]
            print(row("200 x 5, 2 classes, NUTS", *pair, 3))


if __name__ == "__main__":
    main()
