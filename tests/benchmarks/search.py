"""Time a grid search beside scikit-learn's: ``python tests/benchmarks/search.py``.

24 candidates on 5 folds of breast cancer, a pipeline of StandardScaler and MLPClassifier, 40
epochs each. Ours is compared with scikit-learn's GridSearchCV(n_jobs=2) around its own
MLPClassifier with the same grid, and with the same around ours. Each lives in a process of its
own, and they take turns (see run.py). The best mean scores show that equal work was done.
"""

import argparse
import ast
import os
import statistics
import sys
import time
import warnings

from run import Contender, compare, paired_ratio

CONTENDERS = ("skbasics", "scikit-learn", "scikit-learn around ours")
RATES, ALPHAS, SIZES = (3e-4, 1e-3, 3e-3, 1e-2), (1e-5, 1e-3, 1e-1), ((50,), (100,))
N_FOLDS, N_EPOCHS = 5, 40


def search_of(name: str, n_jobs: int) -> object:
    """Return a contender's search, not yet fitted."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    rate = "net__optimizer__learning_rate"
    if name == "scikit-learn":
        from sklearn.neural_network import MLPClassifier

        rate = "net__learning_rate_init"
    else:
        from skbasics import MLPClassifier
    if name == "skbasics":
        from skbasics import GridSearchCV
    # Patience that lasts: every fit makes all its epochs.
    network = MLPClassifier(max_iter=N_EPOCHS, tol=0, n_iter_no_change=N_EPOCHS, random_state=0)
    grid = {rate: RATES, "net__alpha": ALPHAS, "net__hidden_layer_sizes": SIZES}
    pipeline = Pipeline([("scale", StandardScaler()), ("net", network)])
    return GridSearchCV(pipeline, grid, cv=N_FOLDS, n_jobs=n_jobs)


def serve(name: str) -> None:
    """Answer requests on standard input: seconds, and the best mean score."""
    from sklearn.datasets import load_breast_cancer

    # The workers of a search read this, too.
    os.environ["PYTHONWARNINGS"] = "ignore"
    warnings.simplefilter("ignore")
    X, y = load_breast_cancer(return_X_y=True)
    for line in sys.stdin:
        (n_jobs,) = ast.literal_eval(line)
        search = search_of(name, n_jobs)
        start = time.perf_counter()
        search.fit(X, y)
        print(time.perf_counter() - start, search.best_score_, flush=True)


def main() -> None:
    """Run the comparison and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    contenders = [Contender(n, arguments.threads, worker="search.py") for n in CONTENDERS]
    try:
        results = compare(contenders, (arguments.jobs,), arguments.rounds)
    finally:
        for contender in contenders:
            contender.close()
    seconds = [[answer[0] for answer in answers] for answers in results]
    n_candidates = len(RATES) * len(ALPHAS) * len(SIZES)
    print(f"{n_candidates} candidates x {N_FOLDS} folds, {N_EPOCHS} epochs, breast cancer")
    print(f"{arguments.threads} threads, n_jobs={arguments.jobs}, {arguments.rounds} rounds\n")
    print("| search | median s | its time / ours | best mean score |")
    print("|---" * 4 + "|")
    for name, times, answers in zip(CONTENDERS, seconds, results, strict=True):
        ratio = paired_ratio(seconds[0], times)
        print(f"| {name} | {statistics.median(times):.2f} | {ratio:.2f} | {answers[-1][1]:.4f} |")


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CONTENDERS:
        serve(sys.argv[1])
    else:
        main()
