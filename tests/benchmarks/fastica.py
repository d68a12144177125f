"""Time FastICA beside scikit-learn's: ``python tests/benchmarks/fastica.py``.

Each lives in a process of its own with the same number of threads, and their fits take turns
(see run.py). The iterations and the largest difference of the components show that the work was
the same.
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
CASES = (
    (60000, 30, "float64", {}),
    (60000, 30, "float32", {}),
    (60000, 30, "float64", {"whiten_solver": "eigh"}),
    (60000, 30, "float64", {"algorithm": "deflation"}),
    (60000, 30, "float64", {"fun": "exp"}),
    (60000, 30, "float64", {"fun": "cube"}),
    (2000, 10, "float64", {}),
)
RESTARTS = ((2000, 10, 20), (20000, 20, 10))


def mixture(n: int, p: int, dtype: str) -> np.ndarray:
    """Return p mixed sources, some with heavy tails and some with none, away from zero."""
    rng = np.random.default_rng(0)
    sources = rng.laplace(size=(n, p))
    sources[:, ::3] = rng.uniform(-1, 1, size=sources[:, ::3].shape)
    return (sources @ rng.normal(size=(p, p)) + 3).astype(dtype)


def serve(name: str) -> None:
    """Answer requests on standard input: seconds, iterations, the components' largest entry."""
    if name == "skbasics":
        from skbasics import FastICA
    else:
        from sklearn.decomposition import FastICA
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        n, p, dtype, given, restarts = ast.literal_eval(line)
        X = mixture(n, p, dtype)
        if name == "skbasics":
            estimators = [FastICA(random_state=0, restarts=restarts, **given)]
        else:
            estimators = [FastICA(random_state=seed, **given) for seed in range(restarts)]
        start = time.perf_counter()
        for estimator in estimators:
            estimator.fit(X)
        seconds = time.perf_counter() - start
        estimator = estimators[0]
        print(seconds, estimator.n_iter_, np.abs(estimator.components_).sum(), flush=True)


def row(contenders: list[Contender], request: tuple, rounds: int) -> str:
    """Return both medians, the ratio of paired rounds, and what was done."""
    ours, theirs = compare(contenders, request, rounds)
    times = [[answer[0] for answer in answers] for answers in (ours, theirs)]
    own, other = (1000 * statistics.median(t) for t in times)
    (_, steps, size), (_, other_steps, other_size) = ours[-1], theirs[-1]
    cells = f"{own:.1f} | {other:.1f} | {paired_ratio(*times):.2f}"
    if request[-1] > 1:
        return cells + " | |"
    return f"{cells} | {steps:.0f} {other_steps:.0f} | {abs(size / other_size - 1):.0e} |"


def main() -> None:
    """Run every comparison and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    contenders = [Contender(n, arguments.threads, worker="fastica.py") for n in CONTENDERS]
    print(f"{arguments.threads} threads, {arguments.rounds} rounds, medians\n")
    print("| rows x features | ours ms | scikit-learn ms | ratio | iterations | difference |")
    print("|---" * 6 + "|")
    try:
        for n, p, dtype, given in CASES:
            label = ", ".join([f"{n} x {p}", dtype, *map(str, given.values())])
            print(f"| {label} | {row(contenders, (n, p, dtype, given, 1), arguments.rounds)}")
        for n, p, restarts in RESTARTS:
            request = (n, p, "float64", {}, restarts)
            print(
                f"| {n} x {p}, {restarts} restarts | {row(contenders, request, arguments.rounds)}"
            )
    finally:
        for contender in contenders:
            contender.close()


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CONTENDERS:
        serve(sys.argv[1])
    else:
        main()
