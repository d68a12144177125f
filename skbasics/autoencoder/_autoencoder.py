"""The undercomplete autoencoder."""

from typing import ClassVar

from torch import Tensor

from skbasics._fitted import prediction_architecture
from skbasics._held_out import Parameters
from skbasics._sklearn import StrOptions
from skbasics.autoencoder._base import AutoencoderBase
from skbasics.autoencoder._structure import Code, LinearCode
from skbasics.network import BernoulliLikelihood, Loss, SquaredError

LOSSES = {"squared_error": SquaredError, "bernoulli": BernoulliLikelihood}


class ReconstructingAutoencoder(AutoencoderBase):
    """An autoencoder that is trained for its reconstructions, by a loss that is a parameter."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **AutoencoderBase._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
    }

    _kind = "loss"

    def _loss(self) -> Loss:
        return LOSSES[self.loss]()

    def _row_scores(self, X: Tensor, parameters: Parameters) -> Tensor:
        network = prediction_architecture(self._structure)
        loss = BernoulliLikelihood() if self.out_activation_ == "logistic" else SquaredError()
        return -loss.rows(network.apply(*parameters, X), X)


class Autoencoder(ReconstructingAutoencoder):
    r"""Undercomplete autoencoder: a code of few numbers from which rows are made again.

    An encoder f and a decoder g, feed-forward networks of which the second mirrors the first, are
    trained to minimise the penalised reconstruction error

    .. math::
        L(\theta) = \frac{1}{\sum_i w_i} \Big( \sum_i w_i \, \ell\big(g(f(x_i)), x_i\big)
        + \frac{\alpha}{2} \sum_l \|W_l\|^2 \Big), \qquad
        \ell(\hat x, x) = \tfrac12 \|\hat x - x\|^2

    or, for features between 0 and 1, with the cross-entropy
    :math:`\ell = -\sum_j x_j \log \hat x_j + (1 - x_j) \log(1 - \hat x_j)`. The code f(x) is
    linear in the last hidden layer. Without hidden layers both maps are linear, and the optimum
    spans the subspace of the first principal components, though not by their directions.

    Parameters
    ----------
    n_components : int, default=2
        Numbers in a code.
    hidden_layer_sizes : int or sequence of int, default=()
        Units of each hidden layer of the encoder; the decoder has them in reverse.
    activation : str or callable, default="relu"
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu",
        "leaky_relu", "elu", "gelu", "silu", "softplus", or an elementwise torch function.
    loss : {"squared_error", "bernoulli"}, default="squared_error"
        The reconstruction error: half the squared distance, or the cross-entropy in nats.
    optimizer : str or Optimizer, default="adam"
        The update rule, by name ("gd", "sgd", "momentum", "nag", "rmsprop", "adam", "adamw",
        "newton", "lbfgs") or as an object of `skbasics.optim`.
    alpha : float, default=0.0
        Strength of the L2 penalty on weights; biases are free.
    dropout : float or sequence of float, default=0.0
        Probability with which a hidden unit is dropped in training; one for all hidden
        layers or one for each of the encoder's, which its mirror image shares.
    batch_norm : bool, default=False
        Whether hidden layers are normalised over the batch before their activation.
    batch_size : int or "auto", default="auto"
        Rows of a step. "auto" is min(200, n), or all rows for full-batch optimizers.
    max_iter : int, default=200
        Epochs of a call of fit, at most.
    shuffle : bool, default=True
        Whether each epoch visits the rows in a new order.
    tol : float, default=1e-4
        What counts as an improvement of the loss. `Newton` and `LBFGS` have converged when no
        component of the gradient exceeds it.
    n_iter_no_change : int or inf, default=10
        Training stops after more than this many epochs in a row without an improvement.
    early_stopping : bool, default=False
        Whether the score on held-out rows decides when fit stops, and the best epoch's
        parameters are kept. (`partial_fit` holds nothing out.) The rows are those passed to
        fit as ``X_val``, or else a random part of the training rows.
    validation_fraction : float, default=0.1
        The size of that part.
    warm_start : bool, default=False
        Whether fit goes on where the last fit ended: parameters, optimizer, random numbers
        and patience.
    device : str, torch.device or None, default=None
        Where to compute: None is where X is, "auto" a GPU if there is one. Results come back
        to where X is.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, order, dropout and validation split. No global generator is
        touched, except that None draws one seed from NumPy's.
    verbose : bool or int, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    coefs_ : list of array of shape (fan_in, fan_out)
        Weight matrices, one a layer, encoder first.
    intercepts_ : list of array of shape (fan_out,)
        Bias vectors.
    loss_ : float
        Mean loss of the last epoch, penalty included.
    best_loss_ : float or None
        The lowest; None with early stopping.
    loss_curve_ : list of float
        The loss of each epoch.
    history_ : dict of ndarray
        loss, reconstruction_loss, learning_rate (not `LBFGS`), gradient_norm, seconds, and with a
        validation set validation_loss and validation_score, of each epoch.
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
    out_activation_ : str
        "identity" or "logistic".
    should_stop_ : bool
        Only after `partial_fit`: whether the loss of the stream has stalled.
    n_features_in_ : int
        Features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had names.

    See Also
    --------
    SparseAutoencoder : Many components, of which few are active.
    VAETransformer : A code that is a distribution, and a density of the rows.
    skbasics.PCA : The linear case in closed form.

    References
    ----------
    Goodfellow, Bengio and Courville, "Deep Learning", MIT Press 2016, chapter 14.
    Baldi and Hornik, "Neural networks and principal component analysis", Neural Networks 2,
    1989.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skbasics import PCA, Autoencoder
    >>> X = load_digits().data / 16
    >>> autoencoder = Autoencoder(8, hidden_layer_sizes=(64,), random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (1797, 8)
    >>> residual = X - PCA(8).fit(X).inverse_transform(PCA(8).fit_transform(X))
    >>> bool(-autoencoder.score(X) < 0.7 * (residual**2).sum(1).mean() / 2)
    True
    """

    def __init__(
        self,
        n_components=2,
        hidden_layer_sizes=(),
        activation="relu",
        *,
        loss="squared_error",
        optimizer="adam",
        alpha=0.0,
        dropout=0.0,
        batch_norm=False,
        batch_size="auto",
        max_iter=200,
        shuffle=True,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        warm_start=False,
        device=None,
        random_state=None,
        verbose=False,
    ):
        self.n_components = n_components
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
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _code(self) -> Code:
        return LinearCode()
