"""Time UMAP beside umap-learn: ``python tests/benchmarks/maps.py [--mnist PATH]``.

The cold runs are processes of their own, from the first import to the fitted digits. For the warm
ones each contender lives in a process that has fitted before, and their fits take turns (see
run.py). Trustworthiness shows that the maps are as good.
"""

import argparse
import ast
import os
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np
from run import Contender, compare, paired_ratio
from sklearn.datasets import load_digits

CONTENDERS = ("skbasics", "umap-learn")
SIZES = (1797, 4000, 10000, 60000)


def model(name: str, seed: int | None):
    """Return the estimator of a contender."""
    if name == "umap-learn":
        from umap import UMAP

        return UMAP(random_state=seed)
    from skbasics import UMAP

    return UMAP(random_state=seed)


def rows(n: int, mnist: str) -> np.ndarray:
    """Return the digits, or as many rows of MNIST."""
    if n == 1797:
        return load_digits().data
    with np.load(mnist) as arrays:
        return arrays["Xtr"][:n].astype(np.float32) / 255


def serve(name: str, mnist: str) -> None:
    """Answer requests on standard input: seconds, and trustworthiness of some rows."""
    from sklearn.manifold import trustworthiness

    warnings.simplefilter("ignore")
    for line in sys.stdin:
        n, seed = ast.literal_eval(line)
        X = rows(n, mnist)
        start = time.perf_counter()
        embedding = model(name, seed).fit(X).embedding_
        seconds = time.perf_counter() - start
        some = np.random.RandomState(0).permutation(n)[:2000]
        print(seconds, trustworthiness(X[some], embedding[some], n_neighbors=12), flush=True)


def cold(name: str) -> None:
    """Fit the digits, once."""
    warnings.simplefilter("ignore")
    model(name, 0).fit(rows(1797, ""))


def time_cold(rounds: int) -> None:
    """Print how long a process takes from its start to the fitted digits."""
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, seconds in times.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, __file__, "cold", name], check=True)
            seconds.append(time.perf_counter() - start)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    ratio = paired_ratio(*times.values())
    print(f"cold, digits: {medians}, paired ratio {ratio:.2f}\n")


def time_warm(arguments: argparse.Namespace) -> None:
    """Print the table of fits in processes that have fitted before."""
    print("| rows | seed | ours s | umap-learn s | ratio | trustworthiness |\n" + "|---" * 6 + "|")
    pair = [
        Contender(name, arguments.threads, arguments.mnist, worker="maps.py") for name in CONTENDERS
    ]
    for n in arguments.sizes:
        if n != 1797 and not arguments.mnist:
            continue
        for seed in (0, None):
            ours, theirs = compare(pair, (n, seed), arguments.rounds)
            times = [[answer[0] for answer in answers] for answers in (ours, theirs)]
            own, other = (statistics.median(t) for t in times)
            trust = f"{ours[-1][1]:.3f} {theirs[-1][1]:.3f}"
            cells = f"{own:.1f} | {other:.1f} | {paired_ratio(*times):.2f} | {trust}"
            print(f"| {n} | {seed} | {cells} |", flush=True)
    for contender in pair:
        contender.close()


def measure_new_rows(n_seeds: int = 4) -> None:
    """Print how the last 297 digits, by other writers, lie among the first 1500."""
    from sklearn.manifold import trustworthiness
    from sklearn.neighbors import KNeighborsClassifier

    from skbasics import ParametricUMAP

    X, y = rows(1797, "") / 16, load_digits().target
    maps = {name: lambda seed, name=name: model(name, seed) for name in CONTENDERS} | {
        f"ParametricUMAP, input_noise={noise}": lambda seed, noise=noise: ParametricUMAP(
            input_noise=noise, random_state=seed
        )
        for noise in (1, 0)
    }
    print("\n| map | trustworthiness, fitted | new | accuracy of new |\n" + "|---" * 4 + "|")
    for name, make in maps.items():
        found = []
        for seed in range(n_seeds):
            fitted = make(seed).fit(X[:1500])
            places, new = fitted.transform(X[:1500]), fitted.transform(X[1500:])
            trust = [
                trustworthiness(*pair, n_neighbors=12)
                for pair in ((X[:1500], places), (X[1500:], new))
            ]
            accuracy = KNeighborsClassifier(10).fit(places, y[:1500]).score(new, y[1500:])
            found.append([*trust, accuracy])
        cells = [
            f"{mean:.3f} ({low:.3f}-{high:.3f})"
            for mean, low, high in zip(
                np.mean(found, 0), np.min(found, 0), np.max(found, 0), strict=True
            )
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run every comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", help="an .npz with Xtr; without it, the digits alone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    arguments = parser.parse_args()
    time_cold(arguments.rounds)
    time_warm(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measure_new_rows()


if __name__ == "__main__":
    if sys.argv[1:2] == ["cold"]:
        cold(sys.argv[2])
    elif sys.argv[1:2] and sys.argv[1] in CONTENDERS:
        serve(*sys.argv[1:3])
    else:
        main()
