"""Compare accuracies with scikit-learn's: ``python tests/benchmarks/accuracy.py [--mnist PATH]``.

The default `MLPClassifier` of each behind a StandardScaler, five folds of ten tabular data
sets that need no download; and with ``--mnist``, a (256, 128) network on the test digits.
"""

import argparse
import warnings

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_circles,
    make_classification,
    make_gaussian_quantiles,
    make_hastie_10_2,
    make_moons,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier as PeerClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbasics import MLPClassifier

warnings.simplefilter("ignore", ConvergenceWarning)


def tabular() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return ten data sets by name: five that scikit-learn ships, five that it makes."""
    X, progress = load_diabetes(return_X_y=True)
    return {
        "iris": load_iris(return_X_y=True),
        "wine": load_wine(return_X_y=True),
        "breast cancer": load_breast_cancer(return_X_y=True),
        "digits": load_digits(return_X_y=True),
        "diabetes > median": (X, progress > np.median(progress)),
        "classification, 5 classes": make_classification(
            1000, 30, n_informative=12, n_classes=5, random_state=0
        ),
        "moons": make_moons(600, noise=0.3, random_state=0),
        "circles": make_circles(600, noise=0.15, factor=0.6, random_state=0),
        "quantiles": make_gaussian_quantiles(n_samples=800, n_features=6, random_state=0),
        "hastie": make_hastie_10_2(1500, random_state=0),
    }


def score(mlp, X: np.ndarray, y: np.ndarray) -> float:
    """Return the mean accuracy over three times five folds, in percent."""
    runs = []
    for seed in range(3):
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        model = make_pipeline(StandardScaler(), mlp.set_params(random_state=seed))
        runs.append(cross_val_score(model, X, y, cv=folds).mean())
    return 100 * float(np.mean(runs))


def main() -> None:
    """Print the accuracies side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", help="an .npz with Xtr, ytr, Xte, yte")
    arguments = parser.parse_args()
    print("| data | ours % | scikit-learn % | difference |")
    print("|---|---|---|---|")
    differences = []
    for name, (X, y) in tabular().items():
        ours, peer = score(MLPClassifier(), X, y), score(PeerClassifier(), X, y)
        differences.append(ours - peer)
        print(f"| {name} | {ours:.2f} | {peer:.2f} | {ours - peer:+.2f} |", flush=True)
    print(f"| mean | | | **{np.mean(differences):+.3f}** |")
    if arguments.mnist:
        with np.load(arguments.mnist) as arrays:
            X, X_test = (np.float32(arrays[part] / 255) for part in ("Xtr", "Xte"))
            y, y_test = arrays["ytr"], arrays["yte"]
        mlp = MLPClassifier((256, 128), max_iter=15, random_state=0).fit(X, y)
        print(f"\nMNIST test set, (256, 128), 15 epochs: {100 * mlp.score(X_test, y_test):.2f} %")


if __name__ == "__main__":
    main()
