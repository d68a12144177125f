"""Multi-layer perceptrons."""

from skbasics._classification import NetworkClassifier
from skbasics._regression import NetworkRegressor


class MLPClassifier(NetworkClassifier):
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
        The update rule, by name ("gd", "sgd", "momentum", "nag", "rmsprop", "adam", "adamw",
        "newton", "lbfgs") or as an object of `skbasics.optim`.
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
        What counts as an improvement, of the loss or of the validation score. `Newton` and
        `LBFGS` have converged when no component of the gradient exceeds it.
    n_iter_no_change : int or inf, default=10
        Training stops after more than this many epochs in a row without an improvement.
        With `LBFGS` it is one of the validation score alone.
    early_stopping : bool, default=False
        Whether the score on held-out rows decides when fit stops, and the best epoch's
        parameters are kept. (`partial_fit` holds nothing out.) The rows are those passed to
        fit as ``X_val``, or else a random part of the training rows, stratified by class.
    validation_fraction : float, default=0.1
        The size of that part.
    scoring : str, callable or None, default=None
        The validation score, as in scikit-learn's model selection; None is the accuracy.
    warm_start : bool, default=False
        Whether fit goes on where the last fit ended: parameters, optimizer, random numbers
        and patience. If it was True from the first fit on, 10 epochs and 10 more are 20, bit
        for bit (but a schedule that spans ``max_iter`` is stretched over what comes).
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
        loss, learning_rate (not `LBFGS`), gradient_norm, seconds, and with a validation set
        validation_loss and validation_score, of each epoch.
    validation_scores_ : list of float or None
        The score of each epoch, with early stopping.
    best_validation_score_ : float or None
        The highest.
    n_iter_ : int
        Epochs of the last call; iterations of `LBFGS`.
    t_ : int
        Training rows seen so far.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
        Width of the last layer.
    out_activation_ : str
        "logistic" or "softmax".
    should_stop_ : bool
        Only after `partial_fit`: whether the loss of the stream has stalled.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
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


class MLPRegressor(NetworkRegressor):
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
        The update rule, by name ("gd", "sgd", "momentum", "nag", "rmsprop", "adam", "adamw",
        "newton", "lbfgs") or as an object of `skbasics.optim`.
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
        What counts as an improvement, of the loss or of the validation score. `Newton` and
        `LBFGS` have converged when no component of the gradient exceeds it.
    n_iter_no_change : int or inf, default=10
        Training stops after more than this many epochs in a row without an improvement.
        With `LBFGS` it is one of the validation score alone.
    early_stopping : bool, default=False
        Whether the score on held-out rows decides when fit stops, and the best epoch's
        parameters are kept. (`partial_fit` holds nothing out.) The rows are those passed to
        fit as ``X_val``, or else a random part of the training rows.
    validation_fraction : float, default=0.1
        The size of that part.
    scoring : str, callable or None, default=None
        The validation score, as in scikit-learn's model selection. None is R squared for the
        squared error and the Poisson loss, and minus the loss for the others, whose best
        prediction is not the mean.
    warm_start : bool, default=False
        Whether fit goes on where the last fit ended: parameters, optimizer, random numbers
        and patience. If it was True from the first fit on, 10 epochs and 10 more are 20, bit
        for bit (but a schedule that spans ``max_iter`` is stretched over what comes).
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
        loss, learning_rate (not `LBFGS`), gradient_norm, seconds, and with a validation set
        validation_loss and validation_score, of each epoch.
    validation_scores_ : list of float or None
        The score of each epoch, with early stopping.
    best_validation_score_ : float or None
        The highest.
    n_iter_ : int
        Epochs of the last call; iterations of `LBFGS`.
    t_ : int
        Training rows seen so far.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
        Targets of a row.
    out_activation_ : str
        "identity", or "exp" for the Poisson loss.
    should_stop_ : bool
        Only after `partial_fit`: whether the loss of the stream has stalled.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
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
    >>> mlp = MLPRegressor((50,), optimizer=Adam(0.03), max_iter=500, random_state=0)
    >>> mlp.fit(X, y).score(X, y) > 0.98
    True
    >>> upper = MLPRegressor(loss=Quantile(level=0.9), max_iter=500, random_state=0)
    >>> share = np.mean(y <= upper.fit(X, y).predict(X))
    >>> bool(0.85 < share < 0.95)
    True
    """

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
