"""Time correspondence analyses of large tables: ``python tests/benchmarks/correspondence.py``.

Each round fits every contender in turn. "randomised SVD" is the standardised residuals and
scikit-learn's solver with ten iterations alone, which is the core of prince's fit.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from sklearn.utils.extmath import randomized_svd

from skbasics import CorrespondenceAnalysis

try:
    import prince
except ImportError:
    prince = None

ROUNDS = 7
SHAPES = ((20000, 200), (200, 20000), (2000, 1000))


def counts(shape: tuple[int, int]) -> np.ndarray:
    """Return counts in which four kinds of rows prefer different columns."""
    rng = np.random.default_rng(0)
    kinds = rng.dirichlet(np.full(4, 0.3), shape[0])
    return rng.poisson(kinds @ rng.gamma(1, 4, (4, shape[1]))) + np.eye(*shape)


def residuals(table: np.ndarray) -> np.ndarray:
    """Return the standardised residuals as the textbook writes them."""
    P = table / table.sum()
    expected = np.outer(P.sum(1), P.sum(0))
    return (P - expected) / np.sqrt(expected)


def with_numpy(table: np.ndarray) -> np.ndarray:
    """Return the first two singular values by NumPy's SVD."""
    return np.linalg.svd(residuals(table), full_matrices=False)[1][:2]


def with_randomised_svd(table: np.ndarray) -> np.ndarray:
    """Return the first two singular values by scikit-learn's randomised SVD."""
    return randomized_svd(residuals(table), 2, n_iter=10, random_state=0)[1]


def with_skbasics(table: np.ndarray) -> np.ndarray:
    """Return the first two singular values by ours, everything else fitted too."""
    return CorrespondenceAnalysis().fit(table).singular_values_


def contenders(table: np.ndarray) -> dict[str, Callable]:
    """Return what is timed, by name."""
    runs = {
        "skbasics": lambda: with_skbasics(table),
        "NumPy SVD": lambda: with_numpy(table),
        "randomised SVD": lambda: with_randomised_svd(table),
    }
    if prince is not None:
        frame = pd.DataFrame(table)
        runs["prince"] = lambda: np.sqrt(prince.CA(n_components=2).fit(frame).eigenvalues_)
    return runs


def compare(table: np.ndarray) -> str:
    """Return a row of the table of results: median seconds, ratios, and how far the values are."""
    runs = contenders(table)
    times = {name: [] for name in runs}
    values = {name: run() for name, run in runs.items()}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    ours = times.pop("skbasics")
    cells = [f"{table.shape[0]} x {table.shape[1]}", f"{statistics.median(ours):.3f}"]
    for name, theirs in times.items():
        ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
        cells.append(f"{statistics.median(theirs):.3f} ({ratio:.1f})")
        error = np.abs(values[name] / values["skbasics"] - 1).max()
        cells.append(f"{error:.0e}")
    return " | ".join(cells)


def sparse_fit(n_rows: int, n_columns: int, n_counts: int) -> str:
    """Return the time of a fit of a sparse table, of five kinds of rows."""
    rng = np.random.default_rng(0)
    rows = rng.integers(n_rows, size=n_counts)
    columns = (rows % 5 + rng.gamma(2, 1, n_counts)) * n_columns / 5
    table = sp.coo_array((np.ones(n_counts), (rows, columns.astype(int) % n_columns)))
    table = table.tocsr()
    table.sum_duplicates()
    start = time.perf_counter()
    CorrespondenceAnalysis().fit(table)
    seconds = time.perf_counter() - start
    return f"{table.shape[0]} x {table.shape[1]}, {table.nnz} entries: {seconds:.2f} s"


def main() -> None:
    """Print the comparison."""
    print(f"{torch.get_num_threads()} threads, {ROUNDS} rounds; (their time / ours), difference")
    print("prince", getattr(prince, "__version__", "is not installed"))
    names = list(contenders(np.zeros((1, 1))))
    print(" | ".join(["shape", "skbasics s", *(f"{name} s | difference" for name in names[1:])]))
    for shape in SHAPES:
        print(compare(counts(shape)))
    for shape in ((100_000, 2000, 2_000_000), (100_000, 50_000, 5_000_000)):
        print("sparse", sparse_fit(*shape))


if __name__ == "__main__":
    main()
