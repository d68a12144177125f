"""UMAP whose map is a network."""

from collections import OrderedDict
from numbers import Integral, Real
from typing import Any, ClassVar, Self

from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skbasics._arrays import Border, as_tensor, compute_device
from skbasics._atomic import training_method
from skbasics._base import NetworkEstimator, stream_method
from skbasics._fitted import prediction_architecture
from skbasics._sklearn import Interval, check_array
from skbasics._training import predict_rows
from skbasics.manifold._network_base import EdgeTrainedEstimator


def _has_decoder(estimator: Any) -> bool:
    structure = getattr(estimator, "_structure", None)
    if not (estimator.decoder if structure is None else structure.decoder):
        raise AttributeError(
            "inverse_transform needs a decoder, and this ParametricUMAP has none. Set "
            "decoder=True and fit again."
        )
    return True


class ParametricUMAP(EdgeTrainedEstimator):
    r"""UMAP whose map is a network: new rows are placed in milliseconds, and maps can go back.

    A network f is trained on the edges of the fuzzy graph of the rows (see `UMAP`), by their
    cross-entropy with those of its places :math:`y = f(x)`. An edge (i, j) is drawn as it weighs:

    .. math::
        L = \sum_{ij} \frac{p_{ij}}{\sum p} \Big( -\log q_{ij}
        - \gamma m\, E_l \log (1 - q_{il}) \Big), \qquad
        q_{ij} = \frac{1}{1 + a \|f(x_i) - f(x_j)\|^{2b}}

    with the mean over the other ends l in the batch, and with a decoder g the term
    :math:`\tfrac{w}{2} \|x - g(f(x))\|^2`. An epoch draws an edge of each row, which counts as the
    row's edges weigh. Training, stacks of fits and continuation are those of the package's
    networks. Features should be of unit scale, as for any network.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(256, 256)
        Units of each hidden layer of the encoder; the decoder has them in reverse.
    n_components : int, default=2
        Coordinates of a place.
    activation : str or callable, default="relu"
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu", "leaky_relu",
        "elu", "gelu", "silu", "softplus", or an elementwise torch function.
    n_neighbors : int, default=15
        Neighbours that make the graph, the row itself among them.
    metric : str or callable, default="euclidean"
        The distance between rows, as in `UMAP`.
    metric_kwds : dict or None, default=None
        Keywords of the metric.
    min_dist, spread : float, default=0.1 and 1.0
        How near places may be, and on what scale they spread.
    set_op_mix_ratio, local_connectivity : float, default=1.0
        As in `UMAP`.
    repulsion_strength : float, default=1.0
        :math:`\gamma`.
    negative_sample_rate : int, default=5
        m, a million at most.
    input_noise : float, default=1.0
        How far noise moves a row in training, as a share of its distance from its nearest
        neighbour. Whatever lies in the ball around a row belongs to it: a network that has seen
        the ball, and not its middle alone, knows better where new rows belong.
    decoder : bool, default=False
        Whether to learn the way back, too.
    reconstruction_weight : float, default=1.0
        w, for the decoder.
    optimizer : str or Optimizer, default="adam"
        The update rule, by name ("gd", "sgd", "momentum", "nag", "rmsprop", "adam", "adamw") or as
        an object of `skbasics.optim`. "newton" and "lbfgs" are refused: each evaluation has other
        draws.
    alpha : float, default=0.0
        Strength of the L2 penalty on weights; biases are free.
    batch_size : int or "auto", default="auto"
        Edges in a batch; "auto" is a thirtieth of the rows, from 50 to 200: small data need the
        steps.
    max_iter : int, default=200
        Epochs of a call of fit, at most.
    shuffle : bool, default=True
        Whether each epoch visits the rows in a new order.
    tol : float, default=1e-4
        What counts as an improvement of the loss.
    n_iter_no_change : int or inf, default=20
        Training stops after more than this many epochs in a row without an improvement.
    warm_start : bool, default=False
        Whether fit goes on where the last fit ended: parameters, optimizer, random numbers and
        patience.
    device : str, torch.device or None, default=None
        Where to compute: None is where X is, "auto" a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, order, edges and noise. No global generator is touched, except that
        None draws one seed from NumPy's.
    verbose : bool or int, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    graph_ : sparse matrix of shape (n_samples, n_samples)
        The fuzzy graph of the rows of the last call.
    disconnected_ : array of int
        Rows without an edge, from which nothing is learned.
    coefs_ : list of array of shape (fan_in, fan_out)
        Weight matrices, one a layer, the decoder's last.
    intercepts_ : list of array of shape (fan_out,)
        Bias vectors.
    loss_, best_loss_ : float
        Mean loss of the last epoch, and the lowest.
    loss_curve_ : list of float
        The loss of each epoch.
    history_ : dict of ndarray
        loss, cross_entropy, learning_rate, gradient_norm, seconds and with a decoder
        reconstruction_loss, of each epoch.
    n_iter_ : int
        Epochs of the last call.
    t_ : int
        Training rows seen so far.
    n_layers_ : int
        Layers, input and output included.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had names.

    See Also
    --------
    UMAP : Places without a network.

    References
    ----------
    Sainburg, McInnes and Gentner, "Parametric UMAP embeddings for representation and
    semisupervised learning", Neural Computation 33, 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.manifold import trustworthiness
    >>> from skbasics import Adam, ParametricUMAP
    >>> X = load_digits().data[:400] / 16
    >>> parametric = ParametricUMAP((64,), optimizer=Adam(0.01), random_state=0)
    >>> places = parametric.fit_transform(X)
    >>> bool(trustworthiness(X, places, n_neighbors=10) > 0.9)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **{
            name: NetworkEstimator._parameter_constraints[name]
            for name in (
                *("hidden_layer_sizes", "activation", "optimizer", "alpha", "batch_size"),
                *("max_iter", "shuffle", "tol", "n_iter_no_change", "warm_start", "device"),
                *("random_state", "verbose"),
            )
        },
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_neighbors": [Interval(Integral, 2, None, closed="left")],
        "metric": [str, callable],
        "metric_kwds": [dict, None],
        "min_dist": [Interval(Real, 0, None, closed="left")],
        "spread": [Interval(Real, 0, None, closed="neither")],
        "set_op_mix_ratio": [Interval(Real, 0, 1, closed="both")],
        "local_connectivity": [Interval(Real, 0, None, closed="left")],
        "repulsion_strength": [Interval(Real, 0, None, closed="left")],
        "negative_sample_rate": [Interval(Integral, 0, 10**6, closed="both")],
        "input_noise": [Interval(Real, 0, None, closed="left")],
        "decoder": ["boolean"],
        "reconstruction_weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        hidden_layer_sizes=(256, 256),
        n_components=2,
        activation="relu",
        *,
        n_neighbors=15,
        metric="euclidean",
        metric_kwds=None,
        min_dist=0.1,
        spread=1.0,
        set_op_mix_ratio=1.0,
        local_connectivity=1.0,
        repulsion_strength=1.0,
        negative_sample_rate=5,
        input_noise=1.0,
        decoder=False,
        reconstruction_weight=1.0,
        optimizer="adam",
        alpha=0.0,
        batch_size="auto",
        max_iter=200,
        shuffle=True,
        tol=1e-4,
        n_iter_no_change=20,
        warm_start=False,
        device=None,
        random_state=None,
        verbose=False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_components = n_components
        self.activation = activation
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.metric_kwds = metric_kwds
        self.min_dist = min_dist
        self.spread = spread
        self.set_op_mix_ratio = set_op_mix_ratio
        self.local_connectivity = local_connectivity
        self.repulsion_strength = repulsion_strength
        self.negative_sample_rate = negative_sample_rate
        self.input_noise = input_noise
        self.decoder = decoder
        self.reconstruction_weight = reconstruction_weight
        self.optimizer = optimizer
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @training_method
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the map on the graph of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Two rows or more.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            For data that scikit-learn's validation refuses, a metric that nobody has, an
            optimizer that wants all rows at once, and a loss that stops being finite. The
            estimator is then as it was.
        """
        return self._fit(X, None)

    @stream_method
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one pass over the graph of some more rows.

        The graph is that of these rows alone, so there should be many of them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows, two or more.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit(X, None, stream=True)

    def transform(self, X: Any) -> Any:
        """Return the place of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        places : array of shape (n_samples, n_components)
        """
        X, border, learned = self._before_prediction(X, "transform")
        network, n_layers = prediction_architecture(self._structure), self._structure.n_encoder
        places = predict_rows(
            lambda X: network.apply(*learned, X, n_layers=n_layers), X, learned[0], network.widest
        )
        return border.as_caller(places)

    @available_if(_has_decoder)
    def inverse_transform(self, X: Any) -> Any:
        """Return the rows that the decoder makes of places.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Places.

        Returns
        -------
        rows : array of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If the places have another width.
        AttributeError
            If there is no decoder.
        """
        self._check_caller(X, "inverse_transform")
        structure = self._structure
        border = Border.of(X)
        X = check_array(X, dtype=[border.xp.float64, border.xp.float32])
        if X.shape[1] != structure.n_components:
            raise ValueError(
                f"X has {X.shape[1]} columns, and places have {structure.n_components}: "
                "inverse_transform takes what transform returns."
            )
        learned = self._learned_on(compute_device(border, self.device))
        network, first = prediction_architecture(structure), structure.n_encoder
        Z = as_tensor(X, device=learned[0].device, dtype=learned[0].dtype)
        rows = predict_rows(
            lambda Z: network.apply(*learned, Z, first=first), Z, learned[0], network.widest
        )
        return border.as_caller(rows)

    def to_torch(self) -> nn.Module:
        """Return the network as a plain ``nn.Module`` in eval mode, with a copy of the parameters.

        Returns
        -------
        module : torch.nn.Sequential
            Of the module ``encoder`` and, where there is one, ``decoder``.
        """
        check_is_fitted(self)
        architecture, n_encoder = self._structure.plain(), self._structure.n_encoder
        parts = {"encoder": slice(n_encoder), "decoder": slice(n_encoder, None)}
        if not self._structure.decoder:
            del parts["decoder"]
        learned = self._learned_on(None)
        modules = {name: architecture.to_module(*learned, part) for name, part in parts.items()}
        return nn.Sequential(OrderedDict(modules)).eval()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
