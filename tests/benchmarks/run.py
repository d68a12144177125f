"""Time a fit beside the peers': ``python tests/benchmarks/run.py [--mnist PATH]``.

Every contender lives in a process of its own, with the same number of threads, and one fit
of each is timed in turn, round after round, while the others sleep. (In one process the
threads of two BLAS libraries spin against each other, and whoever comes second is slow.)
Equal data, batches, epochs and dtype; the losses reached are printed, so that a contender
that does less work is seen. Only ratios within a run mean anything.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONTENDERS = ("skbasics", "scikit-learn", "torch loop")
LBFGS_CASES = (("breast cancer", (100,)), ("digits", (100,)))
NEWTON_CASES = ("iris", "breast cancer")
CASES = (
    ("breast cancer", (100,), 200),
    ("digits", (100,), 100),
    ("MNIST", (100,), 4),
    ("MNIST", (256, 128), 3),
)


class Contender:
    """A worker process that fits when told to."""

    def __init__(
        self, name: str, n_threads: int, mnist: str | None = None, worker: str = "worker.py"
    ) -> None:
        threads = {key: str(n_threads) for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / worker), name, mnist or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | threads,
        )

    def ask(self, *request: object) -> list[float]:
        """Send a request and wait for its numbers."""
        self._process.stdin.write(repr(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self.name} worker died; its error is above")
        return [float(number) for number in line.split()]

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def compare(contenders: list[Contender], request: tuple, rounds: int) -> list[list[list[float]]]:
    """Return what each contender answers in each round, seconds first, taken in turn."""
    for contender in contenders:
        contender.ask(*request)  # warm-up: pages, threads, caches
    results: list[list[list[float]]] = [[] for _ in contenders]
    for _ in range(rounds):
        for result, contender in zip(results, contenders, strict=True):
            result.append(contender.ask(*request))
    return results


def paired_ratio(own: list[float], others: list[float]) -> float:
    """Return the median over rounds of the other's time over ours."""
    return statistics.median(other / mine for mine, other in zip(own, others, strict=True))


def fit_table(contenders: list[Contender], dtype: str, cases: tuple, rounds: int) -> None:
    """Print fit times, and how many times longer the others took."""
    names = [contender.name for contender in contenders]
    print(f"\nfit, {dtype}, batch 200, Adam 1e-3\n")
    print("| data, hidden | " + " | ".join(f"{n} ms" for n in names) + " | ", end="")
    print(" | ".join(f"{n} / ours" for n in names[1:]) + " | losses |")
    print("|---" * (2 * len(names) + 1) + "|")
    ratios: list[list[float]] = [[] for _ in names[1:]]
    for data, hidden, n_epochs in cases:
        results = compare(contenders, ("fit", data, hidden, n_epochs, dtype), rounds)
        seconds = [[second for second, _ in result] for result in results]
        losses = [result[-1][1] for result in results]
        row = [statistics.median(times) for times in seconds]
        for ratio, times in zip(ratios, seconds[1:], strict=True):
            ratio.append(paired_ratio(seconds[0], times))
        print(
            f"| {data}, {hidden} | "
            + " | ".join(f"{1000 * value:.1f}" for value in row)
            + " | "
            + " | ".join(f"{ratio[-1]:.2f}" for ratio in ratios)
            + " | "
            + " ".join(f"{loss:.4f}" for loss in losses)
            + " |",
            flush=True,
        )
    print("| geometric mean " + "| " * len(names), end="")
    print("| " + " | ".join(f"**{statistics.geometric_mean(r):.2f}**" for r in ratios) + " | |")


def lbfgs_table(contenders: list[Contender], dtype: str, rounds: int) -> None:
    """Print the times of fits by L-BFGS, ours and scikit-learn's."""
    print(f"\nfit by L-BFGS, {dtype}, alpha 1, 100 iterations at most\n")
    print("| data, hidden | ours ms | scikit-learn ms | ratio | iterations | losses |")
    print("|---" * 6 + "|")
    for data, hidden in LBFGS_CASES:
        ours, theirs = compare(contenders[:2], ("fit_lbfgs", data, hidden, dtype), rounds)
        times = [[answer[0] for answer in answers] for answers in (ours, theirs)]
        own, other = (1000 * statistics.median(t) for t in times)
        (_, loss, steps), (_, other_loss, other_steps) = ours[-1], theirs[-1]
        print(
            f"| {data}, {hidden} | {own:.1f} | {other:.1f} | {paired_ratio(*times):.2f} | "
            f"{steps:.0f} {other_steps:.0f} | {loss:.6f} {other_loss:.6f} |",
            flush=True,
        )


def newton_table(ours: Contender) -> None:
    """Print how Newton's method and Adam come to the same loss, on all rows at once."""
    print(
        "\ntanh, 5 hidden units, alpha 1, float64, all rows at once: Newton to a gradient of 1e-6,"
    )
    print("Adam(0.01) until its loss is within 1e-6 of Newton's (20000 epochs at most)\n")
    print("| data | Newton epochs | ms | loss | gradient | Adam epochs | ms | lowest loss |")
    print("|---" * 8 + "|")
    for data in NEWTON_CASES:
        ours.ask("newton", data)
        seconds, epochs, loss, norm = ours.ask("newton", data)
        others, other_epochs, lowest = ours.ask("adam_until", data, loss + 1e-6)
        reached = f"{other_epochs:.0f} | {1000 * others:.0f}" if other_epochs else "not reached | "
        print(
            f"| {data} | {epochs:.0f} | {1000 * seconds:.0f} | {loss:.6f} | {norm:.0e} | {reached} "
            f"| {lowest:.6f} |",
            flush=True,
        )


def starts_line(ours: Contender, loop: Contender, rounds: int) -> None:
    """Print the time of 1000 starts at once, and of a loop over torch.optim."""
    few, many = 50, 1000
    both = [(ours.ask("starts", many), loop.ask("starts", few)) for _ in range(rounds + 1)][1:]
    own = [a[0] for a, _ in both]
    scaled = [b[0] * many / few for _, b in both]
    print(
        f"\nminimize, {many} starts, 200 steps of Adam on Rosenbrock's function: "
        f"{1000 * statistics.median(own):.0f} ms; a loop over torch.optim.Adam "
        f"{statistics.median(scaled):.1f} s ({few} starts times {many // few}); "
        f"ratio {paired_ratio(own, scaled):.0f}"
    )


def optimizer_tables(contenders: list[Contender], dtypes: list[str], rounds: int) -> None:
    """Print what concerns the optimizers alone."""
    for dtype in dtypes:
        lbfgs_table(contenders, dtype, rounds)
    newton_table(contenders[0])
    starts_line(contenders[0], contenders[2], rounds)


def predict_row(contenders: list[Contender], rounds: int) -> None:
    """Print the time of predicting one row."""
    times = [[contender.ask("predict") for contender in contenders[:2]] for _ in range(rounds)]
    own, other = (statistics.median(t[i][0] for t in times) for i in (0, 1))
    ratio = statistics.median(t[1][0] / t[0][0] for t in times)
    print(f"\npredict of one row, digits, (100,): ours {1e6 * own:.0f} us, ", end="")
    print(f"scikit-learn {1e6 * other:.0f} us, ratio {ratio:.2f}")


def main() -> None:
    """Run every comparison and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", help="an .npz with Xtr, ytr; default: fetch_openml")
    parser.add_argument("--no-mnist", action="store_true", help="leave MNIST out")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--tables", nargs="+", default=["fit", "predict", "optimizers"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"])
    arguments = parser.parse_args()
    cases = tuple(c for c in CASES if not (arguments.no_mnist and c[0] == "MNIST"))
    contenders = [Contender(name, arguments.threads, arguments.mnist) for name in CONTENDERS]
    try:
        print(f"{arguments.threads} threads, {arguments.rounds} rounds, medians")
        if "fit" in arguments.tables:
            for dtype in arguments.dtypes:
                fit_table(contenders, dtype, cases, arguments.rounds)
        if "predict" in arguments.tables:
            predict_row(contenders, 4 * arguments.rounds)
        if "optimizers" in arguments.tables:
            optimizer_tables(contenders, arguments.dtypes, arguments.rounds)
    finally:
        for contender in contenders:
            contender.close()


if __name__ == "__main__":
    main()
