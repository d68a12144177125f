"""Multi-layer perceptrons."""

from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from torch import Tensor

from skbasics._arrays import Border, as_numpy
from skbasics._base import NetworkEstimator, training_method
from skbasics._data import Checked
from skbasics._sklearn import StrOptions
from skbasics._training import Rows
from skbasics.network import (
    LINKS,
    REGRESSION_LOSSES,
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    resolve_loss,
)


class MLPClassifier(ClassifierMixin, NetworkEstimator):
    r"""Multi-layer perceptron classifier.

    A feed-forward network :math:`z = W_L \, a_{L-1} + b_L`,
    :math:`a_l = f(W_l \, a_{l-1} + b_l)`, :math:`a_0 = x`, trained to minimise the penalised
    log loss

    .. math::
        L(\theta) = \frac{1}{\sum_i w_i} \Big( - \sum_i w_i \log p_\theta(y_i \mid x_i)
        + \frac{\alpha}{2} \sum_l \|W_l\|^2 \Big)

    where p is the softmax of z with more than two classes and the logistic function of it
    otherwise, label by label where y is an indicator matrix.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; ``()`` for a linear model.
    activation : str or callable, default="relu"
        Activation f of the hidden layers: "identity", "logistic", "tanh", "relu",
        "leaky_relu", "elu", "gelu", "silu", "softplus", or an elementwise torch function.
    optimizer : str or Optimizer, default="adam"
        The update rule, by name ("gd", "sgd", "momentum", "nag", "rmsprop", "adam", "adamw")
        or as an object of `skbasics.optim`.
    alpha : float, default=1e-4
        Strength of the L2 penalty on weights; biases are free. The sum of weights it is
        divided by is the batch's, as in scikit-learn.
    dropout : float or sequence of float, default=0.0
        Probability with which a hidden unit is dropped in training; one for all hidden
        layers or one for each.
    batch_norm : bool, default=False
        Whether hidden layers are normalised over the batch before their activation.
    class_weight : dict, "balanced" or None, default=None
        Factors of the classes' weights; "balanced" makes the classes weigh the same. Not for
        indicator matrices.
    batch_size : int or "auto", default="auto"
        Rows of a step. "auto" is min(200, n), or all rows for full-batch optimizers.
    max_iter : int, default=200
        Epochs of a call of fit, at most.
    shuffle : bool, default=True
        Whether each epoch visits the rows in a new order.
    tol : float, default=1e-4
        What counts as an improvement, of the loss or of the validation score.
    n_iter_no_change : int or inf, default=10
        Training stops after more than this many epochs in a row without an improvement.
    early_stopping : bool, default=False
        Whether the score on held-out rows decides when to stop, and the best epoch's
        parameters are kept. The rows are those passed to fit as ``X_val``, or else a random
        part of the training rows, stratified by class.
    validation_fraction : float, default=0.1
        The size of that part.
    scoring : str, callable or None, default=None
        The validation score, as in scikit-learn's model selection; None is the accuracy.
    warm_start : bool, default=False
        Whether fit goes on where the last fit ended: parameters, optimizer, random numbers
        and patience. 10 epochs and 10 more are 20, bit for bit.
    device : str, torch.device or None, default=None
        Where to compute: None is where X is, "auto" a GPU if there is one. Results come back
        to where X is.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, order, dropout and validation split. No global generator is
        touched, except that None draws one seed from NumPy's. A seed gives the initial
        weights and the order of rows that it gives scikit-learn's MLP.
    verbose : bool or int, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Class labels; the label numbers for an indicator matrix.
    coefs_ : list of array of shape (fan_in, fan_out)
        Weight matrices, one a layer.
    intercepts_ : list of array of shape (fan_out,)
        Bias vectors.
    loss_ : float
        Mean loss of the last epoch, penalty included.
    best_loss_ : float or None
        The lowest; None with early stopping.
    loss_curve_ : list of float
        The loss of each epoch.
    history_ : dict of ndarray
        loss, learning_rate, gradient_norm, seconds, and with a validation set
        validation_loss and validation_score, of each epoch.
    validation_scores_ : list of float or None
        The score of each epoch, with early stopping.
    best_validation_score_ : float or None
        The highest.
    n_iter_ : int
        Epochs of the last call.
    t_ : int
        Training rows seen so far.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
        Width of the last layer.
    out_activation_ : str
        "logistic" or "softmax".
    should_stop_ : bool
        After `partial_fit`: whether the loss of the stream has stalled.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had names.

    See Also
    --------
    MLPRegressor : The same network for numbers.

    Notes
    -----
    Everything is computed in the dtype of X, float32 or float64. Rows of weight zero are
    left out, weights of one change nothing, and a fit that diverges raises ValueError.

    References
    ----------
    Goodfellow, Bengio and Courville, "Deep Learning", MIT Press 2016, chapter 6.
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skbasics import Adam, MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> mlp = MLPClassifier((20,), optimizer=Adam(0.02), random_state=0)
    >>> make_pipeline(StandardScaler(), mlp).fit(X, y).score(X, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetworkEstimator._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    _y_numeric = False

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        optimizer="adam",
        alpha=1e-4,
        dropout=0.0,
        batch_norm=False,
        class_weight=None,
        batch_size="auto",
        max_iter=200,
        shuffle=True,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        scoring=None,
        warm_start=False,
        device=None,
        random_state=None,
        verbose=False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.optimizer = optimizer
        self.alpha = alpha
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.class_weight = class_weight
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

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

    @training_method
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> Self:
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
        return self._fit(X, y, sample_weight, stream=True, classes=self._all_classes(classes))

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
        if isinstance(self.classes_, np.ndarray):
            return self.classes_[codes.cpu().numpy()]
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

    def _all_classes(self, classes: Any) -> np.ndarray | None:
        """Check the classes of a stream against those known; None if they are known."""
        known = getattr(self, "classes_", None)
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
                f"classes={classes} are not those of the first call, {as_numpy(known)}. A "
                "network's last layer has one place for each class and cannot change."
            )
        return classes

    def _encode(self, y: Any, *, learn: bool, classes: Any = None) -> np.ndarray:
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
        return self._indicators(y) if multilabel else self._class_numbers(y)

    def _learn_classes(self, y: Any, multilabel: bool, classes: np.ndarray | None) -> None:
        self._multilabel = multilabel
        if multilabel:
            classes = np.arange(y.shape[1])
        self.classes_ = np.unique(y) if classes is None else classes
        n_classes = self.classes_.shape[0]
        self.n_outputs_ = n_classes if multilabel or n_classes > 2 else 1

    def _indicators(self, y: Any) -> np.ndarray:
        if y.shape[1] != self.n_outputs_:
            raise ValueError(f"y has {y.shape[1]} labels, and the fit began with {self.n_outputs_}.")
        return (y.toarray() if sp.issparse(y) else np.asarray(y)).astype(float)

    def _class_numbers(self, y: Any) -> np.ndarray:
        classes = as_numpy(self.classes_)
        present, codes = np.unique(y, return_inverse=True)
        unseen = np.setdiff1d(present, classes)
        if unseen.size:
            raise ValueError(
                f"y contains {unseen}, not among the classes {classes} that the fit began with. "
                "partial_fit takes all labels that will ever come as `classes` in its first "
                "call; a warm start and y_val need the classes of y."
            )
        codes = np.searchsorted(classes, present)[codes][:, None]
        return codes if self.n_outputs_ > 1 else codes.astype(float)

    def _fit_weights(self, data: Checked) -> np.ndarray | None:
        if self.class_weight is None:
            return data.weights
        if self._multilabel:
            raise ValueError(
                "class_weight is not defined for an indicator matrix, whose rows have several "
                "labels at once. Use sample_weight."
            )
        classes = as_numpy(self.classes_)
        present = np.unique(data.y) if self.class_weight == "balanced" else classes
        factors = dict.fromkeys(classes.tolist(), 1.0) | dict(
            zip(
                present.tolist(),
                compute_class_weight(
                    self.class_weight, classes=present, y=data.y, sample_weight=data.weights
                ),
                strict=True,
            )
        )
        weights = np.array([factors[label] for label in np.asarray(data.y).tolist()])
        return weights if data.weights is None else weights * data.weights

    def _stratify(self, target: np.ndarray) -> np.ndarray | None:
        """Stratify by class: always with two, with more where each class can be split."""
        if self._multilabel:
            return None
        codes, counts = target[:, 0], np.unique(target[:, 0], return_counts=True)[1]
        n_validation = int(np.ceil(self.validation_fraction * len(codes)))
        possible = counts.min() > 1 and n_validation >= len(counts)
        return codes if self.n_outputs_ == 1 or possible else None

    def _default_score(self, Z: Tensor, rows: Rows, weights: Tensor | None) -> float:
        """Return the accuracy; that of whole rows for an indicator matrix."""
        if self._multilabel:
            hits = ((Z > 0) == (rows.y > 0)).all(1)
        else:
            hits = self._codes(Z) == rows.y[:, 0]
        if weights is None:
            return float(hits.double().mean())
        return float((hits * weights).sum() / weights.sum())

    def _learned(self, parameters: tuple[Tensor, Tensor], border: Border) -> dict[str, Any]:
        classes = as_numpy(self.classes_)
        if not border.is_numpy and classes.dtype.kind in "biuf":
            classes = border.as_caller(torch.from_numpy(classes))
        return super()._learned(parameters, border) | {"classes_": classes}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, NetworkEstimator):
    r"""Multi-layer perceptron regressor.

    A feed-forward network :math:`z = W_L \, a_{L-1} + b_L`,
    :math:`a_l = f(W_l \, a_{l-1} + b_l)`, :math:`a_0 = x`, trained to minimise

    .. math::
        L(\theta) = \frac{1}{\sum_i w_i} \Big( \sum_i w_i \, \ell(z_i, y_i)
        + \frac{\alpha}{2} \sum_l \|W_l\|^2 \Big)

    where the loss of a row is summed over its outputs. The prediction is z itself, except for
    the Poisson loss, where it is :math:`e^z`.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; ``()`` for a linear model.
    activation : str or callable, default="relu"
        Activation f of the hidden layers: "identity", "logistic", "tanh", "relu",
        "leaky_relu", "elu", "gelu", "silu", "softplus", or an elementwise torch function.
    loss : str, Loss or callable, default="squared_error"
        "squared_error" (halved, as in scikit-learn), "absolute_error", "huber", "poisson",
        "quantile" (the median), a value such as ``Huber(delta=2.0)`` or
        ``Quantile(level=0.9)``, or a torch function of predictions and targets, both
        ``(n, n_outputs)``, to the losses of the rows, ``(n,)``.
    optimizer : str or Optimizer, default="adam"
        The update rule, by name ("gd", "sgd", "momentum", "nag", "rmsprop", "adam", "adamw")
        or as an object of `skbasics.optim`.
    alpha : float, default=1e-4
        Strength of the L2 penalty on weights; biases are free. The sum of weights it is
        divided by is the batch's, as in scikit-learn.
    dropout : float or sequence of float, default=0.0
        Probability with which a hidden unit is dropped in training; one for all hidden
        layers or one for each.
    batch_norm : bool, default=False
        Whether hidden layers are normalised over the batch before their activation.
    batch_size : int or "auto", default="auto"
        Rows of a step. "auto" is min(200, n), or all rows for full-batch optimizers.
    max_iter : int, default=200
        Epochs of a call of fit, at most.
    shuffle : bool, default=True
        Whether each epoch visits the rows in a new order.
    tol : float, default=1e-4
        What counts as an improvement, of the loss or of the validation score.
    n_iter_no_change : int or inf, default=10
        Training stops after more than this many epochs in a row without an improvement.
    early_stopping : bool, default=False
        Whether the score on held-out rows decides when to stop, and the best epoch's
        parameters are kept. The rows are those passed to fit as ``X_val``, or else a random
        part of the training rows.
    validation_fraction : float, default=0.1
        The size of that part.
    scoring : str, callable or None, default=None
        The validation score, as in scikit-learn's model selection; None is R squared.
    warm_start : bool, default=False
        Whether fit goes on where the last fit ended: parameters, optimizer, random numbers
        and patience. 10 epochs and 10 more are 20, bit for bit.
    device : str, torch.device or None, default=None
        Where to compute: None is where X is, "auto" a GPU if there is one. Results come back
        to where X is.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, order, dropout and validation split. No global generator is
        touched, except that None draws one seed from NumPy's. A seed gives the initial
        weights and the order of rows that it gives scikit-learn's MLP.
    verbose : bool or int, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    coefs_ : list of array of shape (fan_in, fan_out)
        Weight matrices, one a layer.
    intercepts_ : list of array of shape (fan_out,)
        Bias vectors.
    loss_ : float
        Mean loss of the last epoch, penalty included.
    best_loss_ : float or None
        The lowest; None with early stopping.
    loss_curve_ : list of float
        The loss of each epoch.
    history_ : dict of ndarray
        loss, learning_rate, gradient_norm, seconds, and with a validation set
        validation_loss and validation_score, of each epoch.
    validation_scores_ : list of float or None
        The score of each epoch, with early stopping.
    best_validation_score_ : float or None
        The highest.
    n_iter_ : int
        Epochs of the last call.
    t_ : int
        Training rows seen so far.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
        Targets of a row.
    out_activation_ : str
        "identity", or "exp" for the Poisson loss.
    should_stop_ : bool
        After `partial_fit`: whether the loss of the stream has stalled.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had names.

    See Also
    --------
    MLPClassifier : The same network for classes.

    Notes
    -----
    Everything is computed in the dtype of X, float32 or float64. Rows of weight zero are
    left out, weights of one change nothing, and a fit that diverges raises ValueError. A
    network finds targets of unit scale easiest: see
    `sklearn.compose.TransformedTargetRegressor`.

    References
    ----------
    Goodfellow, Bengio and Courville, "Deep Learning", MIT Press 2016, chapter 6.
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from skbasics import Adam, MLPRegressor, Quantile
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> y = np.sin(3 * X[:, 0])
    >>> mlp = MLPRegressor((50,), "tanh", optimizer=Adam(0.01), max_iter=500, random_state=0)
    >>> mlp.fit(X, y).score(X, y) > 0.98
    True
    >>> upper = MLPRegressor(loss=Quantile(level=0.9), random_state=0, max_iter=500)
    >>> bool(upper.fit(X, y).predict(X).mean() > y.mean())
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetworkEstimator._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION_LOSSES)), Loss, callable],
    }

    _values = NetworkEstimator._values | {"loss": resolve_loss}

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        loss="squared_error",
        optimizer="adam",
        alpha=1e-4,
        dropout=0.0,
        batch_norm=False,
        batch_size="auto",
        max_iter=200,
        shuffle=True,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        scoring=None,
        warm_start=False,
        device=None,
        random_state=None,
        verbose=False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.optimizer = optimizer
        self.alpha = alpha
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

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
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
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
            zero, targets outside the loss's domain, and a loss that stops being finite. The
            estimator is then as it was.
        """
        return self._fit(X, y, sample_weight, held_out=(X_val, y_val, sample_weight_val))

    @training_method
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one pass over some more rows.

        The optimizer, the random numbers and the batch statistics go on from call to call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            New rows, one or more.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit(X, y, sample_weight, stream=True)

    def predict(self, X: Any) -> Any:
        """Return the prediction for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        y : array of shape (n_samples,) or (n_samples, n_outputs)
        """
        Z, border = self._outputs(X, "predict")
        return border.as_caller(self._prediction(Z))

    def _prediction(self, Z: Tensor) -> Tensor:
        mean = LINKS[self._loss().out_activation](Z)
        return mean[:, 0] if self.n_outputs_ == 1 else mean

    def _loss(self) -> Loss:
        loss = resolve_loss(self.loss)
        loss.validate()
        return loss

    def _encode(self, y: Any, *, learn: bool, classes: Any = None) -> np.ndarray:
        target = np.asarray(y, dtype=float).reshape(len(y), -1)
        if learn:
            self.n_outputs_ = target.shape[1]
        elif target.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {target.shape[1]} columns, and the fit began with {self.n_outputs_}."
            )
        return target

    def _default_score(self, Z: Tensor, rows: Rows, weights: Tensor | None) -> float:
        """Return R squared."""
        weights = None if weights is None else weights.cpu().numpy()
        prediction = self._prediction(Z).cpu().numpy()
        if not np.isfinite(prediction).all():
            return -np.inf
        return r2_score(rows.y.cpu().numpy(), prediction, sample_weight=weights)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
