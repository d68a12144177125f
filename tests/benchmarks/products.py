"""Time the two libraries of float32 matrix products: ``python tests/benchmarks/products.py``."""

import statistics
import time
from collections.abc import Callable

import torch

from skbasics.network import _products as products

SHAPES = ((200, 64, 100), (200, 256, 128), (200, 784, 100), (200, 784, 256))


def microseconds(function: Callable, repeats: int = 9, calls: int = 100) -> float:
    """Return the median time of a call."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(calls):
            function()
        times.append((time.perf_counter() - start) / calls * 1e6)
    return statistics.median(times)


def main() -> None:
    """Print the time of the forward product of a layer by either library."""
    print(f"{torch.get_num_threads()} threads")
    print("| batch x fan_in x fan_out | MKL us | oneDNN us |")
    print("|---|---|---|")
    for batch, fan_in, fan_out in SHAPES:
        X, weight = torch.randn(1, batch, fan_in), torch.randn(1, fan_out, fan_in)
        bias, out = torch.randn(1, 1, fan_out), torch.empty(1, batch, fan_out)
        times = []
        for threshold in (10**12, 0):
            products.ONEDNN_FROM = threshold
            times.append(microseconds(lambda: products.affine(X, weight, bias, out)))  # noqa: B023
        print(f"| {batch} x {fan_in} x {fan_out} | {times[0]:.0f} | {times[1]:.0f} |")


if __name__ == "__main__":
    main()
