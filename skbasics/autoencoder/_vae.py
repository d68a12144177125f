"""The variational autoencoder."""

import math
import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from skbasics._arrays import Border
from skbasics._data import Checked, Sample
from skbasics._fitted import prediction_architecture
from skbasics._gaussian import kl_to_standard_normal
from skbasics._held_out import Parameters
from skbasics._sklearn import Interval, StrOptions
from skbasics.autoencoder._base import AutoencoderBase, TrainingRows
from skbasics.autoencoder._density import Density
from skbasics.autoencoder._observed import Observed, any_missing
from skbasics.autoencoder._row_keys import row_keys
from skbasics.autoencoder._structure import Code, GaussianCode
from skbasics.network import BernoulliLikelihood, GaussianLikelihood, Loss, log_noise

ACTIVE = 0.1
"""The mean divergence, in nats, from which on a latent tells of the row. The noise of the gradient
alone makes some hundredths."""


class VAETransformer(Density, AutoencoderBase):
    r"""Variational autoencoder: a density of rows, and a code that is a distribution.

    The model is :math:`z \sim N(0, I)`, :math:`x \mid z \sim p(x \mid g(z))` with a decoder g. An
    encoder of the mirrored shape gives every row the Gaussian :math:`q(z \mid x) = N(\mu(x),
    \mathrm{diag}\, \sigma^2(x))` in place of the posterior. Training maximises the evidence lower
    bound

    .. math::
        \log p(x) \ge \mathrm{ELBO}(x) = E_{q(z \mid x)} \log p(x \mid g(z))
        - \mathrm{KL}\big(q(z \mid x) \,\|\, N(0, I)\big), \qquad
        \mathrm{KL} = \tfrac12 \sum_j \mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2

    by gradients through one draw :math:`z = \mu + \sigma \odot \epsilon` a row and step: it
    minimises the mean over rows of :math:`-\log p(x \mid g(z)) + \beta_t \sum_j \max(\lambda,
    \mathrm{KL}_j)`, where :math:`\beta_t` rises to :math:`\beta` and :math:`\lambda` are the free
    nats of a latent. Both terms are sums, over features and over latents, in nats.

    Rows may have missing values (NaN). They are trained and scored by what was observed; the
    encoder sees the feature's mean instead, and `reconstruct` fills them in.

    Parameters
    ----------
    n_components : int, default=2
        Latents.
    hidden_layer_sizes : int or sequence of int, default=(256,)
        Units of each hidden layer of the encoder; the decoder has them in reverse.
    activation : str or callable, default="relu"
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu",
        "leaky_relu", "elu", "gelu", "silu", "softplus", or an elementwise torch function.
    likelihood : {"gaussian", "bernoulli"}, default="gaussian"
        What features are, given the latents: Gaussians of one scale about the decoder's output,
        or yes-no with its logits. For features between 0 and 1 the latter is the cross-entropy.
    noise_scale : "learned" or float, default="learned"
        The standard deviation of the Gaussians, in units of X. Where it is learned it starts at
        the scale of the data.
    beta : float, default=1.0
        Strength of the divergence; 1 is the bound, more makes simpler codes, less better
        reconstructions.
    kl_warmup : int, default=0
        Epochs in which the strength rises from 0 to `beta`, against latents that are given up
        early. Patience begins after them.
    free_bits : float, default=0.0
        Nats of divergence a latent that cost nothing, as a mean over the batch.
    optimizer : str or Optimizer, default="adam"
        The update rule, by name ("gd", "sgd", "momentum", "nag", "rmsprop", "adam", "adamw") or
        as an object of `skbasics.optim`. "newton" and "lbfgs" are refused: each evaluation has
        other draws.
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
        What counts as an improvement of the loss, in nats.
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
        Seeds initial weights, order, draws, dropout and validation split. No global generator is
        touched, except that None draws one seed from NumPy's.
    verbose : bool or int, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    elbo_curve_ : list of float
        The ELBO of each epoch in nats a row, while training: ``reconstruction_curve_`` less
        ``kl_curve_``.
    reconstruction_curve_ : list of float
        The mean of :math:`\log p(x \mid g(z))`.
    kl_curve_ : list of float
        The mean divergence, whatever its strength was.
    kl_per_component_ : array of shape (n_components,)
        The mean divergence of each latent, in nats, on the rows of the last call.
    active_units_ : array of int
        The latents that tell of the row: those whose mean divergence exceeds 0.1 nats.
    noise_scale_ : float
        The standard deviation of the Gaussians.
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
        loss, reconstruction_loss, kl, learning_rate, gradient_norm, seconds, and with a validation
        set validation_loss and validation_score, of each epoch.
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
    Autoencoder : A code that is a point.
    skbasics.PCA : The linear Gaussian case in closed form, its density included.

    Notes
    -----
    The draw of a row and a step depends on what the row contains and on the seed, not on where the
    row stands: so weights count as repeats, exactly, in fits on one batch. Equal rows draw alike.

    References
    ----------
    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.
    Kingma et al., "Improved variational inference with inverse autoregressive flow", NeurIPS
    2016 (free bits).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skbasics import VAETransformer
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(4, (64,), likelihood="bernoulli", max_iter=30, tol=0, random_state=0)
    >>> vae.fit(X).transform(X).shape
    (1797, 4)
    >>> vae.sample(3, random_state=0).shape
    (3, 64)
    >>> bool(vae.score(X) < vae.log_likelihood(X).mean())
    True
    """

    _kind = "likelihood"

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **AutoencoderBase._parameter_constraints,
        "likelihood": [StrOptions({"gaussian", "bernoulli"})],
        "noise_scale": [StrOptions({"learned"}), Interval(Real, 0, None, closed="neither")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "kl_warmup": [Interval(Integral, 0, None, closed="left")],
        "free_bits": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_components=2,
        hidden_layer_sizes=(256,),
        activation="relu",
        *,
        likelihood="gaussian",
        noise_scale="learned",
        beta=1.0,
        kl_warmup=0,
        free_bits=0.0,
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
        self.likelihood = likelihood
        self.noise_scale = noise_scale
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.free_bits = free_bits
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

    @property
    def reconstruction_curve_(self) -> list[float]:
        """The mean log likelihood of the rows given their latents, of each epoch."""
        return [-loss for loss in self._recorded("reconstruction_loss", "reconstruction_curve_")]

    @property
    def kl_curve_(self) -> list[float]:
        """The mean divergence from the prior, of each epoch."""
        return list(self._recorded("kl", "kl_curve_"))

    @property
    def elbo_curve_(self) -> list[float]:
        """The evidence lower bound, of each epoch."""
        self._check_learned("elbo_curve_")
        pairs = zip(self.reconstruction_curve_, self.kl_curve_, strict=True)
        return [likelihood - divergence for likelihood, divergence in pairs]

    def _recorded(self, name: str, attribute: str) -> list[float]:
        self._check_learned(attribute)
        return self._history[name]

    def _validate(self, X: Any, border: Border, **options: Any) -> Any:
        return super()._validate(X, border, ensure_all_finite="allow-nan", **options)

    def _check(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Checked:
        data = super()._check(X, y, sample_weight, reset=reset)
        return replace(data, y=row_keys(data.X))

    def _code(self) -> Code:
        learns_noise = self.likelihood == "gaussian" and self.noise_scale == "learned"
        continued = getattr(self, "_structure", None)
        missing = continued is not None and continued.code.missing
        return GaussianCode(self.beta, self.free_bits, self.kl_warmup, learns_noise, missing)

    def _read_off(self, sample: Sample, theta: Tensor, statistics: Tensor, first: bool) -> None:
        code = self._structure.code
        if not code.missing and any_missing(TrainingRows.of(sample).X):
            self._structure = self._structure._replace(code=replace(code, missing=True))
        super()._read_off(sample, theta, statistics, first)

    def _loss(self) -> Loss:
        missing = self._structure.code.missing
        if self.likelihood == "bernoulli":
            return BernoulliLikelihood(missing)
        scale = None if self.noise_scale == "learned" else float(self.noise_scale)
        return GaussianLikelihood(scale, missing)

    def _begin(
        self, training: TrainingRows, observed: Observed, theta: Tensor, statistics: Tensor
    ) -> None:
        values = {"fill": observed.mean, "data_scale": observed.scale}
        for slot in prediction_architecture(self._structure).statistic_slots:
            if slot.name in values:
                slot.view(statistics).copy_(values[slot.name])

    def _describe(self, training: TrainingRows, parameters: Parameters, border: Border) -> None:
        mean, log_variance = self._posterior(training.X, parameters)
        divergence = training.mean(kl_to_standard_normal(mean, log_variance))
        active = divergence > ACTIVE
        self.kl_per_component_ = border.as_caller(divergence)
        self.active_units_ = border.as_caller(torch.nonzero(active)[:, 0])
        n_unused = int((~active).sum())
        if not training.stream and 2 * n_unused > self.n_components:
            warnings.warn(
                f"{type(self).__name__}: the posterior has collapsed onto the prior in {n_unused} "
                f"of {self.n_components} latents: they are the same for all rows. If you want them "
                "used, try "
                f"kl_warmup={max(10, 2 * self.kl_warmup)}, a smaller beta than {self.beta:g}, or "
                "more epochs; else take fewer n_components.",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _learned(self, parameters: Parameters, border: Border) -> dict[str, Any]:
        learned = super()._learned(parameters, border)
        if self.likelihood == "gaussian":
            learned["noise_scale_"] = self._noise_scale(parameters)
        return learned

    def _noise_scale(self, parameters: Parameters) -> float:
        if not self._structure.code.learns_noise:
            return float(self.noise_scale)
        architecture, (theta, statistics) = prediction_architecture(self._structure), parameters
        (t,), (data_scale,) = (
            architecture.split(theta)[-1],
            architecture.split_statistics(statistics)[-1],
        )
        return math.exp(log_noise(t, data_scale))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
