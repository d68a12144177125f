"""Time a bias-variance experiment: ``python tests/benchmarks/bias_variance.py``.

100 bootstrap rounds of a network with 50 hidden units on 200 rows, 50 epochs each: ours, and
mlxtend's `bias_variance_decomp` with scikit-learn's MLPRegressor. Where mlxtend is not installed
its loop is run as it stands there: draw rows, fit, predict, and at the end the three means. Each
lives in a process of its own with the same number of threads, and they take turns (see run.py).
The expected losses show that the work was the same: ours starts from other seeds.
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
from sklearn.datasets import make_friedman1

CONTENDERS = ("skbasics", "mlxtend")
CASES = ((200, 100, 50, 50), (1000, 100, 50, 50), (200, 100, 50, 200))


def data(n: int) -> tuple[np.ndarray, ...]:
    """Return n training rows and 200 to test on, standardised."""
    X, y = make_friedman1(n + 200, noise=1.0, random_state=0)
    X, y = (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()
    return X[:n], y[:n], X[n:], y[n:]


def ours(rows: tuple, rounds: int, hidden: int, epochs: int) -> float:
    """Return the expected loss by the stack."""
    from skbasics import MLPRegressor, bias_variance_decomposition

    X, y, X_test, y_test = rows
    model = MLPRegressor((hidden,), max_iter=epochs, tol=0.0, n_iter_no_change=epochs)
    found = bias_variance_decomposition(
        model, X, y, X_test=X_test, y_test=y_test, n_rounds=rounds, random_state=0
    )
    return found.expected_loss


def theirs(rows: tuple, rounds: int, hidden: int, epochs: int) -> float:
    """Return the expected loss by mlxtend, or by a loop that is its own."""
    from sklearn.neural_network import MLPRegressor

    X, y, X_test, y_test = rows
    model = MLPRegressor(
        hidden_layer_sizes=(hidden,), max_iter=epochs, tol=0.0, n_iter_no_change=epochs
    )
    try:
        from mlxtend.evaluate import bias_variance_decomp
    except ImportError:
        bias_variance_decomp = loop
    loss, *_ = bias_variance_decomp(
        model, X, y, X_test, y_test, loss="mse", num_rounds=rounds, random_seed=0
    )
    return loss


def loop(model, X, y, X_test, y_test, *, loss, num_rounds, random_seed):
    """Do what mlxtend 0.25 does for the squared error."""
    assert loss == "mse"
    generator = np.random.RandomState(random_seed)
    predictions = np.zeros((num_rounds, len(y_test)))
    for i in range(num_rounds):
        rows = generator.choice(np.arange(len(X)), size=len(X), replace=True)
        predictions[i] = model.fit(X[rows], y[rows]).predict(X_test)
    main = predictions.mean(axis=0)
    expected = np.apply_along_axis(lambda x: ((x - y_test) ** 2).mean(), 1, predictions).mean()
    bias = np.sum((main - y_test) ** 2) / y_test.size
    variance = np.sum((main - predictions) ** 2) / predictions.size
    return expected, bias, variance


def serve(name: str) -> None:
    """Answer requests on standard input: seconds and the expected loss."""
    warnings.simplefilter("ignore")
    run = ours if name == "skbasics" else theirs
    for line in sys.stdin:
        n, *sizes = ast.literal_eval(line)
        rows = data(n)
        start = time.perf_counter()
        loss = run(rows, *sizes)
        print(time.perf_counter() - start, loss, flush=True)


def main() -> None:
    """Run every comparison and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--first", action="store_true", help="only the first case")
    arguments = parser.parse_args()
    contenders = [
        Contender(name, arguments.threads, worker="bias_variance.py") for name in CONTENDERS
    ]
    print(f"{arguments.threads} threads, {arguments.rounds} rounds, medians\n")
    print("| training rows, replicas, units, epochs | ours ms | mlxtend ms | ratio | losses |")
    print("|---" * 5 + "|")
    try:
        for case in CASES[: 1 if arguments.first else None]:
            results = compare(contenders, case, arguments.rounds)
            times = [[answer[0] for answer in answers] for answers in results]
            own, other = (1000 * statistics.median(t) for t in times)
            losses = " ".join(f"{answers[-1][1]:.4f}" for answers in results)
            print(
                f"| {', '.join(map(str, case))} | {own:.0f} | {other:.0f} | "
                f"{paired_ratio(*times):.2f} | {losses} |",
                flush=True,
            )
    finally:
        for contender in contenders:
            contender.close()


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CONTENDERS:
        serve(sys.argv[1])
    else:
        main()
