"""From targets, predictions and what is known of the noise to a decomposition."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from skbasics._arrays import as_numpy
from skbasics.model_selection._rounds import Prediction
from skbasics.model_selection._terms import Domingos, KohaviWolpert, LogLoss, SquaredError

LABELS_FOR_KOHAVI_WOLPERT = (
    'true_values are labels, and zero_one_definition="kohavi_wolpert" compares laws: pass the '
    "probabilities of the classes at each row of X_test, of shape (n_test, n_classes), or leave "
    'them out. Labels go with zero_one_definition="domingos".'
)


def squared_error(
    predictions: list[Prediction], y: np.ndarray, truth: np.ndarray | None, places: Any
) -> tuple[SquaredError, float, Any]:
    """Return the decomposition, the observed loss, and how a main prediction is told."""
    values = [_numbers(prediction.values, "predict's result") for prediction in predictions]
    for value in values:
        if value.size != y.size:
            raise ValueError(
                f"predict returned the shape {value.shape} for y_test of shape {y.shape}; squared "
                "error needs a prediction for each target."
            )
    stacked = np.stack([value.reshape(len(y), -1) for value in values])
    columns = y.reshape(len(y), -1)
    truth = None if truth is None else truth.reshape(columns.shape)
    observed = float(((stacked - columns) ** 2).mean())
    # A few rows that happen to be equal would set the noise of all: at least half must be repeats.
    repeated = places is not None and 2 * (np.bincount(places)[places] > 1).sum() >= len(y)
    decomposition = SquaredError(stacked, columns, truth, places if repeated else None)
    return decomposition, observed, lambda main: main.reshape(y.shape)


def zero_one(
    predictions: list[Prediction],
    y: np.ndarray,
    truth: np.ndarray | None,
    places: Any,
    definition: str,
    known: np.ndarray,
) -> tuple[Domingos | KohaviWolpert, float, Any]:
    """Return the decomposition, the observed loss, and how a main prediction is told."""
    votes = [np.asarray(prediction.values).reshape(len(y)) for prediction in predictions]
    check_common(classes_of(*votes), y)
    labels = truth if truth is not None and truth.ndim == 1 else y
    classes = classes_of(known, labels, *votes)
    votes = np.stack([np.searchsorted(classes, vote) for vote in votes])
    codes = np.searchsorted(classes, y)
    observed = float((votes != codes).mean())
    law, repeats = law_of(codes, truth, places, classes)
    if definition == "kohavi_wolpert":
        return KohaviWolpert(votes, law, repeats), observed, classes.__getitem__
    optimal = law.argmax(axis=1)
    if truth is not None and truth.ndim == 1:
        optimal = np.searchsorted(classes, truth)
    return Domingos(votes, law, optimal), observed, classes.__getitem__


def log_loss(
    predictions: list[Prediction],
    y: np.ndarray,
    truth: np.ndarray | None,
    places: Any,
    known: np.ndarray,
) -> tuple[LogLoss, float, Any]:
    """Return the decomposition, the observed loss, and how a main prediction is told."""
    learned = classes_of(*(prediction.classes for prediction in predictions))
    check_common(learned, y)
    classes = classes_of(known, learned)
    kind = np.result_type(*(prediction.values.dtype for prediction in predictions))
    smallest = np.finfo(kind if kind.kind == "f" else np.float64).eps
    probabilities = np.zeros((len(predictions), len(y), len(classes)))
    for aligned, prediction in zip(probabilities, predictions, strict=True):
        aligned[:, np.searchsorted(classes, prediction.classes)] = prediction.values
    logarithms = np.log(np.clip(probabilities, smallest, 1 - smallest))  # as sklearn's log_loss
    codes = np.searchsorted(classes, y)
    observed = -float(logarithms[:, np.arange(len(y)), codes].mean())
    law, _ = law_of(codes, truth, places, classes)
    return LogLoss(logarithms, law), observed, lambda main: main


def classes_of(*labels: np.ndarray) -> np.ndarray:
    """Return all labels that occur, sorted."""
    return np.unique(np.concatenate([np.unique(each) for each in labels]))


def check_common(predicted: np.ndarray, y: np.ndarray) -> None:
    """Raise if the labels of predictions and of y_test are other words for the same."""
    present = np.unique(y)
    if len(present) > 1 and not np.isin(predicted, present).any():
        raise ValueError(
            f"The estimator knows the labels {predicted.tolist()}, and none of them is in y_test, "
            f"which has {present.tolist()}. Write the labels of all training sets and of y_test "
            "alike."
        )


def law_of(
    codes: np.ndarray, truth: np.ndarray | None, places: np.ndarray | None, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the law of y at each row, and how many y it rests on where it was counted.

    It is known, or made of the shares among equal rows, or of the one y that was seen.
    """
    if truth is not None and truth.ndim == 2:
        if truth.shape[1] != len(classes):
            raise ValueError(
                f"true_values has {truth.shape[1]} columns of probabilities and there are "
                f"{len(classes)} classes: {classes.tolist()}. Give a column for each, in this "
                "order."
            )
        return truth, None
    seen = np.eye(len(classes))[codes]
    if places is None or truth is not None:
        return seen, None
    repeats = np.bincount(places)
    counts = np.zeros((len(repeats), len(classes)))
    np.add.at(counts, (places, codes), 1)
    return (counts / repeats[:, None])[places], repeats[places]


def check_targets(y: Any, loss: str, name: str) -> np.ndarray:
    """Return targets as NumPy: numbers for squared error, one column of labels for the others.

    Raises
    ------
    ValueError
        If the loss does not fit them.
    """
    y = np.asarray(as_numpy(y))
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if loss == "squared_error":
        return _numbers(y, name)
    if y.ndim != 1:
        raise ValueError(
            f"loss={loss!r} needs one label a row, and {name} has the shape {y.shape}. Take its "
            'columns one by one, or loss="squared_error" for numbers.'
        )
    if y.dtype.kind == "f" and not np.array_equal(y, np.floor(y)):
        raise ValueError(
            f"loss={loss!r} needs class labels, and {name} has fractions such as "
            f'{y[y != np.floor(y)][0]:g}. Pass loss="squared_error" for numbers.'
        )
    return y


def check_true_values(
    truth: Any, y: np.ndarray, loss: str, definition: str, rows: str
) -> np.ndarray:
    """Return true values as NumPy: like y for squared error, else labels or probabilities.

    Raises
    ------
    ValueError
        If they are not one for each row, or not of the kind that the loss needs.
    """
    truth = np.asarray(as_numpy(truth))
    truth = truth[:, 0] if truth.ndim == 2 and truth.shape[1] == 1 else truth
    if truth.ndim == 0 or len(truth) != len(y):
        raise ValueError(
            f"true_values has {truth.size if truth.ndim == 0 else len(truth)} rows and {rows} has "
            f"{len(y)}. Pass f(x) for each row of {rows}, in their order."
        )
    if loss == "squared_error":
        if truth.shape != y.shape:
            raise ValueError(f"true_values has the shape {truth.shape} and the targets {y.shape}.")
        return _numbers(truth, "true_values")
    if truth.ndim == 1 and loss == "zero_one" and definition == "domingos":
        return truth
    if truth.ndim == 1 and loss == "zero_one":
        raise ValueError(LABELS_FOR_KOHAVI_WOLPERT)
    if truth.ndim != 2:
        raise ValueError(
            f"true_values has the shape {truth.shape}; loss={loss!r} needs the probabilities of "
            f"the classes at each row of {rows}, of shape ({len(y)}, n_classes)."
        )
    truth = _numbers(truth, "true_values")
    if (truth < 0).any() or not np.allclose(truth.sum(axis=1), 1, atol=1e-6):
        raise ValueError(
            "true_values must be probabilities: not negative, and every row with the sum one. The "
            f"sums lie between {truth.sum(axis=1).min():g} and {truth.sum(axis=1).max():g}."
        )
    return truth / truth.sum(axis=1, keepdims=True)


def places_of(X: Any) -> np.ndarray | None:
    """Return a number for each row, equal for equal rows; None if no two are."""
    if hasattr(X, "columns"):
        keys = list(map(tuple, np.asarray(X, dtype=object)))
    elif sp.issparse(X):
        X = sp.csr_array(X, copy=True)
        X.sum_duplicates()
        X.eliminate_zeros()
        parts = zip(X.indptr, X.indptr[1:], strict=False)
        keys = [(X.indices[a:b].tobytes(), X.data[a:b].tobytes()) for a, b in parts]
    else:
        X = np.asarray(as_numpy(X))
        if X.dtype.kind in "fc":
            X = X + 0.0  # so that -0.0 and 0.0 are one place
        numbers = X.dtype.kind != "O"
        keys = [row.tobytes() if numbers else str(np.ravel(row).tolist()) for row in X]
    numbered: dict[Any, int] = {}
    places = np.array([numbered.setdefault(key, len(numbered)) for key in keys])
    return None if len(numbered) == len(places) else places


def _numbers(values: Any, name: str) -> np.ndarray:
    values = np.asarray(values)
    words = []
    if values.dtype.kind in "OUST":
        words = [value for value in values.flat if isinstance(value, (str, bytes))][:1]
    if words:
        raise ValueError(
            f'loss="squared_error" needs numbers, and {name} has {words[0]!s:.40}. Pass '
            'loss="zero_one" or, for classifiers with predict_proba, loss="log_loss".'
        )
    values = values.astype(np.float64, copy=False)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} contains NaN or infinity.")
    return values
