"""The sparse autoencoder: many units, of which few are active at a time."""

import warnings
from numbers import Integral, Real
from typing import ClassVar

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from skbasics._arrays import Border
from skbasics._fitted import prediction_architecture
from skbasics._held_out import Parameters
from skbasics._sklearn import Interval, StrOptions
from skbasics.autoencoder._autoencoder import ReconstructingAutoencoder
from skbasics.autoencoder._base import TrainingRows
from skbasics.autoencoder._observed import Observed
from skbasics.autoencoder._structure import Code, SparseCode

SAME = 0.01
"""A logistic unit whose activations differ by less than this tells nothing of rows."""

REMEDIES = {
    "kl": "Lower sparsity_weight, or raise target_activation",
    "l1": "Lower sparsity_weight",
    "topk": "Raise n_active",
}


class SparseAutoencoder(ReconstructingAutoencoder):
    r"""Sparse autoencoder: a wide code of which each row uses a little.

    With an encoder f, whose output is the code h, and a decoder g that mirrors it,

    .. math::
        L(\theta) = \frac{1}{\sum_i w_i} \Big( \sum_i w_i \, \ell\big(g(h_i), x_i\big)
        + \frac{\alpha}{2} \sum_l \|W_l\|^2 \Big) + \Omega(h), \qquad h_i = f(x_i)

    is minimised, where :math:`\ell` is half the squared error or the cross-entropy, as in
    `Autoencoder`, and the sparsity of the code comes from one of

    ========  ==================================================================  ================
    sparsity  :math:`\Omega`                                                      code
    ========  ==================================================================  ================
    "kl"      :math:`\lambda \sum_j \mathrm{KL}(\rho \| \hat\rho_j)`               logistic
    "l1"      :math:`\lambda \sum_i w_i \|h_i\|_1 / \sum_i w_i`                     rectified
    "topk"    none: all but the k largest units of a row are zero                 rectified
    ========  ==================================================================  ================

    with :math:`\hat\rho_j` the mean activation of unit j over the batch, and
    :math:`\mathrm{KL}(\rho \| \hat\rho) = \rho \log \frac{\rho}{\hat\rho} + (1 - \rho)
    \log \frac{1 - \rho}{1 - \hat\rho}`. For "l1" the decoder's first weights have columns of
    length one, or it would shrink the code and stretch the columns instead.

    Parameters
    ----------
    n_components : int, default=64
        Units of the code; more than features are welcome.
    hidden_layer_sizes : int or sequence of int, default=()
        Units of each hidden layer of the encoder; the decoder has them in reverse.
    activation : str or callable, default="relu"
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu",
        "leaky_relu", "elu", "gelu", "silu", "softplus", or an elementwise torch function.
    loss : {"squared_error", "bernoulli"}, default="squared_error"
        The reconstruction error: half the squared distance, or the cross-entropy in nats.
    sparsity : {"kl", "l1", "topk"}, default="kl"
        What makes the code sparse.
    sparsity_weight : float, default=0.3
        :math:`\lambda`, for "kl" and "l1"; in units of the loss of a row.
    target_activation : float, default=0.05
        :math:`\rho`, the mean activation wanted of every unit: for "kl", and for "topk" the share
        of units that are active where `n_active` is None.
    n_active : int or None, default=None
        The units of a row that are active, for "topk"; None is
        ``max(1, round(target_activation * n_components))``.
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
    activation_rate_ : array of shape (n_components,)
        On the rows of the last call: the mean activation of each unit for "kl", else the share of
        rows on which it is active.
    dead_units_ : array of int
        The units that tell nothing of these rows: never active, or for "kl" always the same to
        within a hundredth.
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
        loss, reconstruction_loss, sparsity (the price; not "topk"), learning_rate (not `LBFGS`),
        gradient_norm, seconds, and with a validation set validation_loss and validation_score, of
        each epoch.
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
    Autoencoder : A narrow code without a price.

    Notes
    -----
    Where a row has fewer than k positive units, "topk" lowers its threshold until there are k, so
    that codes have exactly k units (but for ties, and where k is all of them).

    References
    ----------
    Ng, "Sparse autoencoder", lecture notes CS294A, Stanford 2011.
    Makhzani and Frey, "k-sparse autoencoders", ICLR 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skbasics import SparseAutoencoder
    >>> X = load_digits().data / 16
    >>> sparse = SparseAutoencoder(100, sparsity="topk", n_active=6, random_state=0).fit(X)
    >>> sorted(set((sparse.transform(X) > 0).sum(1).tolist()))
    [6]
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **ReconstructingAutoencoder._parameter_constraints,
        "sparsity": [StrOptions({"kl", "l1", "topk"})],
        "sparsity_weight": [Interval(Real, 0, None, closed="left")],
        "target_activation": [Interval(Real, 0, 1, closed="neither")],
        "n_active": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        n_components=64,
        hidden_layer_sizes=(),
        activation="relu",
        *,
        loss="squared_error",
        sparsity="kl",
        sparsity_weight=0.3,
        target_activation=0.05,
        n_active=None,
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
        self.sparsity = sparsity
        self.sparsity_weight = sparsity_weight
        self.target_activation = target_activation
        self.n_active = n_active
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
        n_active = None
        if self.sparsity == "topk":
            n_active = self.n_active or max(1, round(self.target_activation * self.n_components))
            if n_active > self.n_components:
                raise ValueError(
                    f"n_active={n_active} units cannot be active of n_components="
                    f"{self.n_components}. Lower n_active, or raise n_components."
                )
        return SparseCode(self.sparsity, self.sparsity_weight, self.target_activation, n_active)

    def _begin(
        self, training: TrainingRows, observed: Observed, theta: Tensor, statistics: Tensor
    ) -> None:
        """Centre the rectified units, and let the decoder begin as the encoder's transpose.

        From weights drawn at random most units of a wide code would be off on all rows, or on for
        all of them, and many stay so.
        """
        if self.sparsity == "kl":
            return
        network, n_encoder = prediction_architecture(self._structure), self._structure.n_encoder
        last = max(i for i in range(n_encoder) if network.layers[i].parameter_shapes)
        before = self._encoded(training.X, (theta, statistics), n_back=n_encoder - 1 - last)
        (weight, bias), decoding = (network.split(theta)[i] for i in (last, n_encoder))
        bias -= training.mean(before)
        decoding[0].copy_((weight / torch.linalg.vector_norm(weight, dim=2, keepdim=True)).mT)

    def _describe(self, training: TrainingRows, parameters: Parameters, border: Border) -> None:
        codes = self._encoded(training.X, parameters)
        if self.sparsity == "kl":
            dead = (codes.amax(0) - codes.amin(0) < SAME) & (len(codes) > 1)
        else:
            codes = (codes > 0).to(codes.dtype)
            dead = codes.amax(0) == 0
        self.activation_rate_ = border.as_caller(training.mean(codes))
        self.dead_units_ = border.as_caller(torch.nonzero(dead)[:, 0])
        n_dead = int(dead.sum())
        if not training.stream and 10 * n_dead > self.n_components:
            warnings.warn(
                f"{type(self).__name__}: {n_dead} of {self.n_components} units are dead: no "
                f"training row makes a difference to them. {REMEDIES[self.sparsity]}, or take "
                "fewer n_components.",
                ConvergenceWarning,
                stacklevel=2,
            )
