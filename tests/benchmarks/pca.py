"""Time principal components beside scikit-learn's: ``python tests/benchmarks/pca.py --mnist PATH``.

Every contender lives in a process of its own, with the same number of threads, and one run of
each is timed in turn, round after round, while the others wait (in one process the threads of
two BLAS libraries spin against each other). Without ``--mnist`` the data are made up in its
shape. Only ratios within a run mean anything.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

N_BATCHES = 40
CONTENDERS = ("skbasics fit", "scikit-learn fit", "skbasics stream", "IncrementalPCA stream")


def load(path: str) -> np.ndarray:
    """Return 60000 rows of 784 features between 0 and 1, in float32."""
    if path:
        return (np.load(path)["Xtr"].reshape(60_000, 784) / np.float32(255)).astype(np.float32)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60_000, 784), np.float32) * np.logspace(0, -3, 784, dtype=np.float32)
    return X + np.float32(0.5)


def task(name: str, X: np.ndarray) -> Callable[[], object]:
    """Return what is timed; it returns the fitted estimator."""
    from sklearn import decomposition as peer

    from skbasics import PCA

    def stream(estimator: object) -> object:
        for batch in np.array_split(X, N_BATCHES):
            estimator.partial_fit(batch)
        return estimator, estimator.components_

    return {
        "skbasics fit": lambda: PCA().fit(X),
        "scikit-learn fit": lambda: peer.PCA().fit(X),
        "skbasics stream": lambda: stream(PCA()),
        "IncrementalPCA stream": lambda: stream(peer.IncrementalPCA(50)),
    }[name]


def work(name: str, path: str) -> None:
    """Run the task whenever a line comes in, and print the seconds."""
    run = task(name, load(path))
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(time.perf_counter() - start, flush=True)


def seconds(path: str, rounds: dict[str, int]) -> dict[str, list[float]]:
    """Return the times of each contender, taken in turn."""
    workers = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--mnist", path, "--worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        for name in rounds
    }
    times = {name: [] for name in rounds}
    for i in range(max(rounds.values())):
        for name, worker in workers.items():
            if i < rounds[name]:
                worker.stdin.write("\n")
                worker.stdin.flush()
                times[name].append(float(worker.stdout.readline()))
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return times


def errors(X: np.ndarray) -> None:
    """Print how far eigenvalues are from those of the rows in float64."""
    from sklearn import decomposition as peer

    from skbasics import PCA

    rng = np.random.default_rng(0)
    spread = rng.standard_normal((5000, 5)) * [1, 0.5, 0.2, 0.1, 0.05]
    cases = {f"5 features, mean {mean:g}, float64": spread + mean for mean in (1e4, 1e6)}
    cases["5 features, mean 100, float32"] = (spread + 100).astype(np.float32)
    cases["60000 x 784 (MNIST where given), float32, leading 100"] = X
    print("\n| largest relative error of eigenvalues | skbasics | scikit-learn |\n|---|---|---|")
    for name, rows in cases.items():
        D = rows - rows.mean(0, dtype=np.float64)
        D -= D.mean(0)
        truth = np.linalg.eigvalsh(D.T @ D)[::-1][:100] / (len(D) - 1)
        found = (kind().fit(rows).explained_variance_[:100] for kind in (PCA, peer.PCA))
        each = [np.max(np.abs(values - truth) / truth) for values in found]
        print(f"| {name} | {each[0]:.1e} | {each[1]:.1e} |", flush=True)


def stream_beside_fit(X: np.ndarray) -> None:
    """Print how far a stream of batches is from one fit: eigenvalues, and the leading subspace."""
    from skbasics import PCA

    whole, stream = PCA(50).fit(X), PCA(50)
    for batch in np.array_split(X, N_BATCHES):
        stream.partial_fit(batch)
    variances = np.abs(stream.explained_variance_ / whole.explained_variance_ - 1).max()
    projectors = [pca.components_.T @ pca.components_ for pca in (whole, stream)]
    distance = np.linalg.norm(projectors[0] - projectors[1], 2)
    print(
        f"\n{N_BATCHES} batches beside one fit, 50 components: eigenvalues {variances:.0e} "
        f"(relative), projectors {distance:.0e}"
    )


def main() -> None:
    """Print the table of times, and that of errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", default="", metavar="PATH")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--worker", choices=CONTENDERS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.mnist)
        return
    rounds = dict.fromkeys(CONTENDERS, options.rounds)
    rounds["IncrementalPCA stream"] = min(2, options.rounds)
    times = seconds(options.mnist, rounds)
    print("| 60000 x 784, float32 | median s | fastest s |\n|---|---|---|")
    for name, values in times.items():
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} |")
    for ours, theirs in (CONTENDERS[:2], CONTENDERS[2:]):
        ratio = statistics.median(times[theirs]) / statistics.median(times[ours])
        print(f"\n{ours}: {ratio:.2f} times as fast as {theirs}")
    X = load(options.mnist)
    stream_beside_fit(X)
    errors(X)


if __name__ == "__main__":
    main()
