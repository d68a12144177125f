"""Convolutional networks that tell classes apart."""

from typing import ClassVar

from skbasics._classification import NetworkClassifier
from skbasics.neural_network._image_input import ImageInput
from skbasics.neural_network._initial_weights import resolve_weights


class ConvNetClassifier(ImageInput, NetworkClassifier):
    r"""Convolutional network classifier, for images and signals.

    Layers of filters that see a small window of the image and are the same at every place, with
    pooling between them, and a feed-forward network on what is left of the image:

    .. math::
        z = W_L \, a_{L-1} + b_L, \quad a_l = f(W_l * a_{l-1} + b_l) \text{ or }
        f(W_l \, a_{l-1} + b_l), \quad a_0 = x

    trained to minimise the penalised log loss

    .. math::
        L(\theta) = \frac{1}{\sum_i w_i} \Big( - \sum_i w_i \log p_\theta(y_i \mid x_i)
        + \frac{\alpha}{2} \sum_l \|W_l\|^2 \Big)

    where p is the softmax of z with more than two classes and the logistic function of it
    otherwise, label by label where y is an indicator matrix.

    X may be rows of features with `image_shape`, so that a scaler may go before it in a
    Pipeline; images ``(n, height, width)``; or images with channels, ``(n, height, width,
    channels)`` or with ``channels="first"`` ``(n, channels, height, width)``. Whole numbers of
    dtype uint8 are scaled to [0, 1], a batch at a time, and computed with in float32.

    Parameters
    ----------
    layers : sequence, "lenet", "alexnet" or None, default=None
        The layers on images: `Conv2d`, `MaxPool2d`, `AvgPool2d`, `LocalResponseNorm`; each
        convolution is followed by the activation. The names are the convolutional parts of
        two networks of history. None is two convolutions of 3 x 3 with 32 and 64 filters that
        keep the size, each with pooling of 2 x 2.
    image_shape : tuple of int, default=None
        Height, width and, unless it is one, the number of channels. Rows of features need it
        to be images; without it they are signals of 1 x n_features, to which windows are
        clipped with a warning.
    channels : {"last", "first"}, default="last"
        Where the channels are: the last axis of images, or their first. Of rows likewise:
        the values of a pixel lie side by side, or a channel lies in one piece.
    hidden_layer_sizes : int or sequence of int, default=(128,)
        Units of each dense hidden layer, after the images; ``()`` for none.
    activation : str or callable, default="relu"
        Activation f of the convolutions and hidden layers: "identity", "logistic", "tanh",
        "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", or an elementwise torch
        function.
    optimizer : str or Optimizer, default="adam"
        The update rule, by name ("gd", "sgd", "momentum", "nag", "rmsprop", "adam", "adamw",
        "newton", "lbfgs") or as an object of `skbasics.optim`.
    alpha : float, default=1e-4
        Strength of the L2 penalty on weights; biases are free. The sum of weights it is
        divided by is the batch's, as in scikit-learn.
    dropout : float or sequence of float, default=0.0
        Probability with which a dense hidden unit is dropped in training; one for all dense
        hidden layers or one for each.
    batch_norm : bool, default=False
        Whether hidden layers are normalised over the batch before their activation; the dense
        ones are meant.
    augment : {"shift", "flip"}, callable or None, default=None
        A random change of the images in every epoch of training: moved by up to a tenth of
        their sides, mirrored left to right with probability one half, or
        ``augment(images, generator)`` of tensors ``(n, channels, height, width)`` and a
        `torch.Generator` to tensors of that shape. All draws come from `random_state`.
    initial_weights : "glorot" or NormalWeights, default="glorot"
        How weights are drawn.
    precision : {"bfloat16"} or None, default=None
        In which the layers on images are computed in training; None is the dtype of X.
        "bfloat16" is about twice as fast on processors that have it and keeps three digits;
        parameters, dense layers and predictions stay in the dtype of X.
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
        Seeds initial weights, order, dropout, augmentation and validation split. No global
        generator is touched, except that None draws one seed from NumPy's.
    verbose : bool or int, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Class labels; the label numbers for an indicator matrix.
    coefs_ : list of array
        Weights, one a layer: filters ``(n_filters, channels a group, height, width)``, then
        matrices ``(fan_in, fan_out)``, whose inputs are the images channel by channel.
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
        Layers with weights, and the input.
    n_outputs_ : int
        Width of the last layer.
    out_activation_ : str
        "logistic" or "softmax".
    should_stop_ : bool
        Only after `partial_fit`: whether the loss of the stream has stalled.
    image_shape_ : tuple of int
        Height, width and channels of the images.
    layer_table_ : LayerTable
        What each layer makes of an image, and what it costs.
    n_features_in_ : int
        Features seen in fit. Those of an image are height times width times channels.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had names.

    See Also
    --------
    ConvNetRegressor : The same network for numbers.

    Notes
    -----
    Everything is computed in the dtype of X, float32 or float64. Rows of weight zero are
    left out, weights of one change nothing, and a fit that diverges raises ValueError.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86, 1998.
    Goodfellow, Bengio and Courville, "Deep Learning", MIT Press 2016, chapter 9.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skbasics import Conv2d, ConvNetClassifier, MaxPool2d
    >>> X, y = load_digits(return_X_y=True)  # rows of 64 features
    >>> convnet = ConvNetClassifier(
    ...     [Conv2d(16, 3, padding="same"), MaxPool2d(2)],
    ...     image_shape=(8, 8),
    ...     max_iter=60,
    ...     tol=1e-3,
    ...     random_state=0,
    ... )
    >>> model = make_pipeline(StandardScaler(), convnet).fit(X[:1000], y[:1000])
    >>> model.score(X[1000:], y[1000:]) > 0.92
    True
    >>> convnet.layer_table_
    name          output_shape  n_parameters  n_weights_unshared  receptive_field
    -----------------------------------------------------------------------------
    conv2d_1      8 x 8 x 16             160              10,240  3 x 3
    max_pool2d_1  4 x 4 x 16               0                   0  4 x 4
    dense_1       128                 32,896              32,896  8 x 8
    output        10                   1,290               1,290  8 x 8
    total                             34,346              44,426
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetworkClassifier._parameter_constraints,
        **ImageInput._image_constraints,
    }

    _values = NetworkClassifier._values | {"initial_weights": resolve_weights}

    def __init__(
        self,
        layers=None,
        *,
        image_shape=None,
        channels="last",
        hidden_layer_sizes=(128,),
        activation="relu",
        optimizer="adam",
        alpha=1e-4,
        dropout=0.0,
        batch_norm=False,
        augment=None,
        initial_weights="glorot",
        precision=None,
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
        self.layers = layers
        self.image_shape = image_shape
        self.channels = channels
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.optimizer = optimizer
        self.alpha = alpha
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.augment = augment
        self.initial_weights = initial_weights
        self.precision = precision
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
