"""Time OnlineMeanVar beside StandardScaler: ``python tests/benchmarks/streams.py``."""

import statistics
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skbasics import OnlineMeanVar

CASES = (
    ("1 x 20 float64", (1, 20), np.float64, 200),
    ("1 x 20 float32", (1, 20), np.float32, 200),
    ("100 x 20 float64", (100, 20), np.float64, 100),
    ("1000 x 784 float32", (1000, 784), np.float32, 3),
    ("1000 x 784 float64", (1000, 784), np.float64, 3),
    ("100000 x 20 float64", (100_000, 20), np.float64, 1),
)


def microseconds(function: Callable, calls: int) -> float:
    """Return the time of a call."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls * 1e6


def compare(ours: Callable, theirs: Callable, calls: int, rounds: int = 15) -> tuple[float, ...]:
    """Return the median times and the median of the ratios, the two called in turn."""
    ours(), theirs()
    pairs = [(microseconds(ours, calls), microseconds(theirs, calls)) for _ in range(rounds)]
    times = [statistics.median(side) for side in zip(*pairs, strict=True)]
    return (*times, statistics.median(b / a for a, b in pairs))


def errors() -> None:
    """Print the largest relative error of a variance, against exact rational arithmetic."""
    print("\n| offset | OnlineMeanVar, by 100 | row by row | StandardScaler, by 100 | row by row |")
    print("|---|---|---|---|---|")
    for offset in (0.0, 1e8, 1e12):
        X = offset + np.random.default_rng(0).standard_normal((2000, 5))
        truth = np.array([exact_variance(column) for column in X.T.tolist()])
        found = []
        for kind in (OnlineMeanVar, StandardScaler):
            for n_parts in (20, 2000):
                stream = kind()
                for batch in np.array_split(X, n_parts):
                    stream.partial_fit(batch)
                found.append(np.max(np.abs(stream.var_ - truth) / truth))
        print(f"| {offset:.0e} | " + " | ".join(f"{error:.0e}" for error in found) + " |")


def exact_variance(values: list[float]) -> float:
    """Return the variance, rounded once."""
    mean = sum(map(Fraction, values)) / len(values)
    return float(sum((Fraction(value) - mean) ** 2 for value in values) / len(values))


def main() -> None:
    """Print partial_fit and transform of both, what our options cost, and the errors."""
    generator = np.random.default_rng(0)
    print("| method | batch | OnlineMeanVar us | StandardScaler us | ratio |")
    print("|---|---|---|---|---|")
    for label, shape, dtype, calls in CASES:
        X = generator.standard_normal(shape).astype(dtype)
        start = generator.standard_normal((1000, shape[1])).astype(dtype)
        ours, theirs = OnlineMeanVar().fit(start), StandardScaler().fit(start)
        for method in ("partial_fit", "transform"):
            found = compare(
                lambda: getattr(ours, method)(X),  # noqa: B023
                lambda: getattr(theirs, method)(X),  # noqa: B023
                calls,
            )
            print(f"| {method} | {label} | {found[0]:.0f} | {found[1]:.0f} | {found[2]:.1f} |")
    X = generator.standard_normal((1, 20))
    print("\n| a row of 20 | us |\n|---|---|")
    for params in ({}, {"half_life": 100.0}, {"with_covariance": True}):
        stream = OnlineMeanVar(**params).fit(generator.standard_normal((100, 20)))
        time_each = statistics.median(
            microseconds(lambda: stream.partial_fit(X), 200)  # noqa: B023
            for _ in range(15)
        )
        print(f"| {params or 'defaults'} | {time_each:.0f} |")
    errors()


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
