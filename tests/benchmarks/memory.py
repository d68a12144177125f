"""Peak memory of a stack: ``python tests/benchmarks/memory.py``.

A hundred bootstrap networks are trained as one stack. Beside the growth of the process at its
peak (Linux alone can tell) stands what the stack cannot do without: parameters, gradients and
Adam's moments, and of the batch in hand the gathered rows and what the layers make of them.
"""

import argparse
import subprocess
import sys
import warnings

import numpy as np

CASES = ((200, 10, 50), (2000, 50, 50), (20_000, 50, 50), (2000, 200, 100))
K = 100
BATCH = 200


def needed(n: int, p: int, hidden: int) -> tuple[float, float]:
    """Return the MiB of parameters, states and gathered batch, and of the activations."""
    n_parameters = (p + 2) * hidden + 1
    batch = min(BATCH, n)
    units = 2 * hidden + 2  # a layer's output, and the gradient of it
    return tuple(
        8 * K * size / 2**20 for size in (4 * n_parameters + batch * (p + 1), batch * units)
    )


def status(name: str) -> float:
    """Return a number of /proc/self/status in MiB."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def work(n: int, p: int, hidden: int) -> None:
    """Train the stack and print by how much the process has grown."""
    from skbasics import MLPRegressor
    from skbasics._stack import Job, fit_side_by_side

    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    y = X[:, 0]

    def jobs(k: int) -> list:
        models = [MLPRegressor((hidden,), max_iter=3, random_state=i) for i in range(k)]
        return [Job(model, X, y, rng.integers(0, n, n)) for model in models]

    fit_side_by_side(jobs(2))
    many = jobs(K)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    before = status("VmRSS")
    fit_side_by_side(many, stack_size=K)
    print(status("VmHWM") - before)


def main() -> None:
    """Print a line for each case, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs=3, type=int)
    case = parser.parse_args().case
    if case:
        work(*case)
        return
    print("| rows, features, units | states and batch MiB | activations MiB | peak MiB | ratio |")
    print("|---|---|---|---|---|")
    for each in CASES:
        command = [sys.executable, __file__, "--case", *map(str, each)]
        peak = float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        states, activations = needed(*each)
        ratio = peak / (states + activations)
        print(f"| {each} | {states:.1f} | {activations:.1f} | {peak:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
