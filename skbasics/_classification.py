"""Networks that tell classes apart: labels into numbers, logits into labels."""

from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from torch import Tensor

from skbasics._arrays import Border, as_numpy, weighted_mean
from skbasics._atomic import training_method
from skbasics._base import NetworkEstimator, stream_method
from skbasics._data import Checked
from skbasics._held_out import SCORING
from skbasics._sklearn import ClassifierMixin, StrOptions
from skbasics._training import Rows
from skbasics.network import LINKS, BinaryCrossEntropy, CrossEntropy, Loss


class NetworkClassifier(ClassifierMixin, NetworkEstimator):
    """A classifier whose model is a network that ends at the logits.

    Two classes share one output, more have one each (softmax), and the columns of an
    indicator matrix are yes-no questions of their own.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetworkEstimator._parameter_constraints,
        **SCORING,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    _y_numeric = False

    @training_method
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. Sparse rows become dense a batch at a time.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels of any kind, or an indicator matrix.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows: how often each counts.
        X_val, y_val : array-like, default=None
            Rows to validate on after each epoch; with ``early_stopping`` they decide.
        sample_weight_val : array-like, default=None
            Their weights.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            For data that scikit-learn's validation refuses, weights that are negative or all
            zero, a class in ``y_val`` or a warm start that was not there before, and a loss
            that stops being finite. The estimator is then as it was.
        """
        return self._fit(X, y, sample_weight, held_out=(X_val, y_val, sample_weight_val))

    @stream_method
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one pass over some more rows.

        The optimizer, the random numbers and the batch statistics go on from call to call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            New rows, one or more.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If the first call has no classes, or a label is not among them.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all of y, which a stream does not have. Compute "
                "it once, with sklearn.utils.class_weight.compute_class_weight, and pass the dict."
            )
        return self._fit(X, y, sample_weight, stream=True, classes=classes_of_stream(self, classes))

    def predict(self, X: Any) -> Any:
        """Return the most probable class of each row, or the indicator matrix of its labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        y : array of shape (n_samples,) or (n_samples, n_labels)
        """
        Z, border = self._outputs(X, "predict")
        if self._multilabel:
            return border.as_caller((Z > 0).long())
        codes = self._codes(Z)
        if border.is_numpy or isinstance(self.classes_, np.ndarray):
            return as_numpy(self.classes_)[codes.cpu().numpy()]
        return self.classes_[border.as_caller(codes)]

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        probabilities : array of shape (n_samples, n_classes)
            Rows sum to one, except that labels of an indicator matrix are independent.
        """
        Z, border = self._outputs(X, "predict_proba")
        return border.as_caller(self._per_class(Z, torch.sigmoid, LINKS["softmax"]))

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of the probabilities, from the logits and so never -inf.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        log_probabilities : array of shape (n_samples, n_classes)
        """
        Z, border = self._outputs(X, "predict_log_proba")
        return border.as_caller(
            self._per_class(Z, F.logsigmoid, lambda Z: torch.log_softmax(Z, -1))
        )

    def decision_function(self, X: Any) -> Any:
        """Return the logits.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        logits : array of shape (n_samples,) for two classes, else (n_samples, n_classes)
        """
        Z, border = self._outputs(X, "decision_function")
        return border.as_caller(Z if self._multilabel or Z.shape[1] > 1 else Z[:, 0])

    def _per_class(self, Z: Tensor, binary: Any, multiclass: Any) -> Tensor:
        """Turn logits into one column a class."""
        if self._multilabel:
            return binary(Z)
        if self.classes_.shape[0] == 1:
            return binary(Z.new_full(Z.shape, torch.inf))
        if self.n_outputs_ == 1:
            return binary(torch.cat([-Z, Z], 1))
        return multiclass(Z)

    def _codes(self, Z: Tensor) -> Tensor:
        """Return the number of the most probable class of each row."""
        if self.classes_.shape[0] == 1:
            return Z.new_zeros(len(Z), dtype=torch.long)
        return Z.argmax(1) if self.n_outputs_ > 1 else (Z[:, 0] > 0).long()

    def _loss(self) -> Loss:
        return BinaryCrossEntropy() if self._multilabel or self.n_outputs_ == 1 else CrossEntropy()

    def _encode(
        self, y: Any, *, learn: bool, classes: Any = None, complete: bool = False
    ) -> np.ndarray:
        kind = type_of_target(y, input_name="y", raise_unknown=True)
        if kind.startswith("continuous"):
            check_classification_targets(y)  # raises, in scikit-learn's words
        if kind == "multiclass-multioutput":
            raise ValueError(
                "y has several columns that are not yes-no labels. Multioutput-multiclass "
                "targets are not supported; wrap the classifier in MultiOutputClassifier."
            )
        multilabel = kind == "multilabel-indicator"
        if learn:
            self._learn_classes(y, multilabel, classes)
        elif multilabel != self._multilabel:
            raise ValueError(
                f"y is {kind} here, and was {'an indicator matrix' if self._multilabel else 'not'}"
                f"{'' if self._multilabel else ' an indicator matrix'} when the fit began."
            )
        return self._indicators(y) if multilabel else self._class_numbers(y, complete)

    def _learn_classes(self, y: Any, multilabel: bool, classes: np.ndarray | None) -> None:
        self._multilabel = multilabel
        if multilabel:
            if classes is not None and not np.array_equal(classes, np.arange(y.shape[1])):
                raise ValueError(
                    f"classes={classes} are not the labels of an indicator matrix of "
                    f"{y.shape[1]} columns. Pass classes=np.arange({y.shape[1]})."
                )
            classes = np.arange(y.shape[1])
        self.classes_ = np.unique(y) if classes is None else classes
        n_classes = self.classes_.shape[0]
        self.n_outputs_ = n_classes if multilabel or n_classes > 2 else 1

    def _indicators(self, y: Any) -> np.ndarray:
        if y.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {y.shape[1]} labels, and the fit began with {self.n_outputs_}."
            )
        return (y.toarray() if sp.issparse(y) else np.asarray(y)).astype(float)

    def _class_numbers(self, y: Any, complete: bool) -> np.ndarray:
        classes = as_numpy(self.classes_)
        present, codes = np.unique(y, return_inverse=True)
        unseen = np.setdiff1d(present, classes)
        if complete and len(present) < len(classes):
            raise ValueError(
                f"warm_start goes on with the classes of the fit before, {classes}, and y has "
                f"only {present}. Use partial_fit for rows of some classes alone, or "
                "warm_start=False for a new model."
            )
        if unseen.size:
            raise ValueError(
                f"y contains {unseen}, not among the classes {classes} that the fit began with. "
                "partial_fit takes all labels that will ever come as `classes` in its first "
                "call; a warm start and y_val need the classes of y."
            )
        codes = np.searchsorted(classes, present)[codes][:, None]
        return codes if self.n_outputs_ > 1 else codes.astype(float)

    def _fit_weights(self, data: Checked, train: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return data.weights
        if self._multilabel:
            raise ValueError(
                "class_weight is not defined for an indicator matrix, whose rows have several "
                "labels at once. Use sample_weight."
            )
        classes = as_numpy(self.classes_)
        rows = slice(None) if train is None else train  # held-out rows do not count
        y, sample_weight = data.y[rows], None if data.weights is None else data.weights[rows]
        present = np.unique(y) if self.class_weight == "balanced" else classes
        factors = dict.fromkeys(classes.tolist(), 1.0) | dict(
            zip(
                present.tolist(),
                compute_class_weight(
                    self.class_weight, classes=present, y=y, sample_weight=sample_weight
                ),
                strict=True,
            )
        )
        if not all(np.isfinite(factor) and factor >= 0 for factor in factors.values()):
            raise ValueError(
                f"class_weight must be finite and not negative, got {self.class_weight!r}."
            )
        weights = np.array([factors[label] for label in np.asarray(data.y).tolist()])
        if not weights.any():
            raise ValueError(
                f"class_weight={self.class_weight!r} leaves no row with a weight above zero."
            )
        return weights if data.weights is None else weights * data.weights

    def _stratify(self, target: np.ndarray) -> np.ndarray | None:
        """Stratify by class: always with two, with more where each class can be split."""
        if self._multilabel:
            return None
        counts = np.unique(target[:, 0], return_counts=True)[1]
        n_validation = int(np.ceil(self.validation_fraction * len(target)))
        possible = counts.min() > 1 and n_validation >= len(counts)
        if self.n_outputs_ > 1 and not possible:
            return None
        return as_numpy(self.classes_)[target[:, 0].astype(int)]

    def _default_score(self, Z: Tensor, rows: Rows, weights: Tensor | None) -> float:
        """Return the accuracy; that of whole rows for an indicator matrix."""
        if self._multilabel:
            hits = ((Z > 0) == (rows.y > 0)).all(1)
        else:
            hits = self._codes(Z) == rows.y[:, 0]
        return weighted_mean(hits.double(), weights)

    def _learned(self, parameters: tuple[Tensor, Tensor], border: Border) -> dict[str, Any]:
        classes = border.follow(as_numpy(self.classes_))
        return super()._learned(parameters, border) | {"classes_": classes}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def classes_of_stream(estimator: Any, classes: Any) -> np.ndarray | None:
    """Check the classes that `partial_fit` is given against those known; None if they are known.

    Raises
    ------
    ValueError
        If the first call has none, or a later one others.
    """
    known = getattr(estimator, "classes_", None)
    if classes is None:
        if known is None:
            raise ValueError(
                "The first call of partial_fit must be given classes, all the labels that "
                "will ever come: partial_fit(X, y, classes=np.unique(y_all))."
            )
        return None
    classes = unique_labels(as_numpy(classes))
    if known is not None and not np.array_equal(classes, as_numpy(known)):
        raise ValueError(
            f"classes={classes} are not those of the first call, {as_numpy(known)}. A model has "
            "one output for each class and cannot change: start afresh with fit for others."
        )
    return classes
