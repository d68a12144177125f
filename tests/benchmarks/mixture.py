"""Time the mixtures beside scikit-learn's: ``python tests/benchmarks/mixture.py``.

Each lives in a process of its own with the same number of threads, and their fits take turns
(see run.py). With a number of iterations given, both make just so many; the last rows are fits
to the end, with what they found: iterations, and the adjusted Rand index of the clusters.
"""

import argparse
import ast
import os
import statistics
import sys
import time
import warnings

import numpy as np
from run import Contender, compare, paired_ratio

CONTENDERS = ("skbasics", "scikit-learn")
KINDS = ("full", "tied", "diag", "spherical")
STEPS = (
    *(("20000 x 20", kind, 10, {"max_iter": 10, "tol": 0.0}, "variational") for kind in KINDS),
    *(("20000 x 20", kind, 10, {"max_iter": 10, "tol": 0.0}, "em") for kind in KINDS),
    ("20000 x 20, float32", "full", 10, {"max_iter": 10, "tol": 0.0}, "variational"),
    ("digits", "full", 10, {"max_iter": 10, "tol": 0.0}, "variational"),
    ("iris", "full", 3, {"max_iter": 10, "tol": 0.0}, "variational"),
)
TO_THE_END = (
    ("20000 x 20", "full", 10, {}, "variational"),
    ("digits", "full", 10, {}, "variational"),
    ("iris", "full", 3, {}, "variational"),
    ("iris", "full", 3, {"n_init": 20}, "variational"),
    ("iris", "full", 3, {"n_init": 20}, "em"),
)


def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and the clusters from which they come."""
    if name in ("digits", "iris"):
        from sklearn.datasets import load_digits, load_iris

        return {"digits": load_digits, "iris": load_iris}[name](return_X_y=True)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 20000)
    shapes = rng.normal(size=(10, 20, 20)) / 5 + np.eye(20)
    X = rng.normal(size=(10, 20))[labels] * 0.6
    X += np.einsum("ni,nij->nj", rng.normal(size=(20000, 20)), shapes[labels])
    return X.astype("float32" if "float32" in name else "float64"), labels


def estimator(who: str, kind: str, k: int, given: dict, inference: str) -> object:
    """Return the mixture of a contender."""
    from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

    from skbasics import VariationalGaussianMixture

    settings = {"n_components": k, "covariance_type": kind, "random_state": 0, **given}
    if who == "skbasics":
        return VariationalGaussianMixture(inference=inference, **settings)
    cls = GaussianMixture if inference == "em" else BayesianGaussianMixture
    return cls(**settings)


def serve(who: str) -> None:
    """Answer requests on standard input: seconds, iterations, adjusted Rand index."""
    from sklearn.metrics import adjusted_rand_score

    warnings.simplefilter("ignore")
    for line in sys.stdin:
        name, *request = ast.literal_eval(line)
        X, labels = data(name)
        fitted = estimator(who, *request)
        start = time.perf_counter()
        fitted.fit(X)
        seconds = time.perf_counter() - start
        print(seconds, fitted.n_iter_, adjusted_rand_score(labels, fitted.predict(X)), flush=True)


def row(contenders: list[Contender], request: tuple, rounds: int) -> str:
    """Return both medians, the ratio of paired rounds, and what was found."""
    ours, theirs = compare(contenders, request, rounds)
    times = [[answer[0] for answer in answers] for answers in (ours, theirs)]
    own, other = (1000 * statistics.median(t) for t in times)
    (_, steps, rand), (_, other_steps, other_rand) = ours[-1], theirs[-1]
    cells = f"{own:.1f} | {other:.1f} | {paired_ratio(*times):.2f}"
    return f"{cells} | {steps:.0f} {other_steps:.0f} | {rand:.2f} {other_rand:.2f} |"


def main() -> None:
    """Run every comparison and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    contenders = [Contender(n, arguments.threads, worker="mixture.py") for n in CONTENDERS]
    print(f"{arguments.threads} threads, {arguments.rounds} rounds, medians\n")
    print("| rows | ours ms | scikit-learn ms | ratio | iterations | Rand |")
    print("|---" * 6 + "|")
    try:
        for request in (*STEPS, *TO_THE_END):
            name, kind, k, given, inference = request
            more = [f"{key}={value}" for key, value in given.items() if key != "tol"]
            label = ", ".join([name, kind, f"{k} components", inference, *more])
            print(f"| {label} | {row(contenders, request, arguments.rounds)}", flush=True)
    finally:
        for contender in contenders:
            contender.close()


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CONTENDERS:
        serve(sys.argv[1])
    else:
        main()
