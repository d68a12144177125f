r"""Networks whose weights are independent Gaussians, trained in minibatches.

.. math::
    -\frac1n \mathrm{ELBO}(q) = \frac{1}{|B|} \sum_{i \in B} E_q[-\log p(y_i \mid x_i, \theta)]
        + \frac1n \mathrm{KL}(q(\theta) \,\|\, p(\theta))

in the mean over batches B: each batch gets the divergence with weight 1/n, so that an epoch counts
it once.

References
----------
Blundell, Cornebise, Kavukcuoglu and Wierstra, "Weight uncertainty in neural networks", ICML 2015.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from skbasics._arrays import SEED_BOUND
from skbasics._gaussian import HALF_LOG_TWO_PI
from skbasics._training import Batch, Batches, Rows, epochs
from skbasics.network import Architecture, Loss, Network, NetworkObjective
from skbasics.optim import Stepwise
from skbasics.optim._function import WholeRow

RATE = 0.02
"""The first learning rate of a rule given by name."""

WINDOW = 100
"""Steps, about, over whose epochs the loss is averaged before it is compared."""

WARM_UP = 500
"""Steps over which the divergence comes in: at its full weight from the start it would often keep
the weights at the prior, before the data have been learned. What the prior and the noise learn
begins then."""

START = 0.05
"""The first standard deviation of a weight, as a share of the prior's."""


@dataclass
class WeightPrior:
    """Independent Gaussians, whose deviations may share a factor that is learned.

    Attributes
    ----------
    mean, scale : Tensor of shape (P,)
    learned : bool
        Whether `scale` is up to a factor.
    """

    mean: Tensor
    scale: Tensor
    learned: bool


def unit_scales(architecture: Architecture, like: Tensor) -> Tensor:
    """Return the deviations of weights for which layers of any width say about the same, ``(P,)``.

    It is one for what is fed by the features and for biases, and 1 / sqrt(units) for what is fed
    by units (Neal, 1996).
    """
    scales = like.new_ones(1, architecture.n_parameters)
    first = True
    for slot in architecture.slots:
        if slot.name == "coef":
            slot.view(scales).fill_(1.0 if first else slot.shape[1] ** -0.5)
            first = False
    return scales[0]


class WeightsObjective:
    r"""Minus the ELBO divided by n, for the parameters ``[m, log s, log sigma, log tau]``.

    The last two are there if noise and prior scale are learned. A batch sees S networks drawn
    from q side by side, as antithetic pairs.

    Parameters
    ----------
    architecture : Architecture
    loss : Loss
        Minus the log likelihood, or half the squared error if there is noise.
    prior : WeightPrior
    start : Tensor of shape (P,)
        The first m.
    scale : Tensor of shape (P,)
        The first s.
    noise_scale : float or None
        None where the loss is a log likelihood itself.
    learn_noise : bool
    n : float
        The sum of all weights.
    n_samples : int
    """

    repeatable = False

    def __init__(
        self,
        architecture: Architecture,
        loss: Loss,
        prior: WeightPrior,
        start: Tensor,
        scale: Tensor,
        *,
        noise_scale: float | None,
        learn_noise: bool,
        n: float,
        n_samples: int,
    ) -> None:
        self.prior, self.n, self.width = prior, n, len(start)
        self.has_noise, self.learn_noise = noise_scale is not None, learn_noise
        extra = start.new_tensor([math.log(noise_scale or 1.0), 0.0])
        self.theta = torch.cat([start, scale.log(), extra])[None]
        self.theta_gradient = torch.zeros_like(self.theta)
        self.slots, self.n_decayed = [WholeRow()], 0
        draws = start.new_zeros(n_samples, self.width)
        self.n_steps, self.warm_up = 0, WARM_UP
        self.networks = NetworkObjective(
            Network(architecture, draws, draws.new_zeros(n_samples, 0)), loss, 0.0
        )

    @property
    def mean(self) -> Tensor:
        """The means m, ``(P,)``."""
        return self.theta[0, : self.width]

    @property
    def scale(self) -> Tensor:
        """The standard deviations s, ``(P,)``."""
        return self.theta[0, self.width : 2 * self.width].exp()

    @property
    def noise_scale(self) -> float:
        """The deviation sigma of the noise."""
        return float(self.theta[0, -2].exp())

    @property
    def prior_factor(self) -> float:
        """The factor tau of the prior's deviations."""
        return float(self.theta[0, -1].exp())

    def seed_epoch(self, random_states: list[np.random.RandomState]) -> None:
        """Start the draws of an epoch."""
        self._generator = torch.Generator(self.theta.device)
        self._generator.manual_seed(int(random_states[0].randint(SEED_BOUND)))

    def gradient(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, ``(1,)``, and leave the gradient in `theta_gradient`."""
        noise = self._noise()
        draws = self.networks.theta
        torch.addcmul(self.mean, noise, self.scale, out=draws)
        fit = float(self.networks.gradient(_beside(batch, len(draws))).mean())
        slopes = self.networks.theta_gradient
        share = float((-2 * self.theta[0, -2]).exp()) if self.has_noise else 1.0
        gradient, P = self.theta_gradient[0], self.width
        torch.mul(slopes.mean(0), share, out=gradient[:P])
        torch.mul((slopes * noise).mean(0) * self.scale, share, out=gradient[P : 2 * P])
        self.n_steps += 1
        gradient[-2] = 1 - 2 * share * fit if self.learn_noise else 0.0
        divergence = self._add_divergence(gradient)
        constant = HALF_LOG_TWO_PI + float(self.theta[0, -2]) if self.has_noise else 0.0
        return gradient.new_full((1,), share * fit + constant + divergence)

    def _noise(self) -> Tensor:
        n_samples = len(self.networks.theta)
        half = self.theta.new_empty(-(-n_samples // 2), self.width)
        half.normal_(generator=self._generator)
        return torch.cat([half, -half])[:n_samples]

    def _add_divergence(self, gradient: Tensor) -> float:
        """Add the gradient of the divergence over n; return the divergence over n."""
        P, s, n = self.width, self.scale, self.n / min(1.0, self.n_steps / self.warm_up)
        tau = self.prior.scale * self.prior_factor
        off = (self.mean - self.prior.mean) / tau
        ratio = (s / tau).square()
        gradient[:P] += off / tau / n
        gradient[P : 2 * P] += (ratio - 1) / n
        size = off.square() + ratio
        learns = self.prior.learned and self.n_steps > self.warm_up
        gradient[-1] = (1 - size).sum() / n if learns else 0.0
        return float((size - 1 - ratio.log()).sum()) / 2 / self.n


def _beside(batch: Batch, n_samples: int) -> Batch:
    """Return a batch of one replica for S networks that all see it."""
    weights = batch.weights
    return Batch(
        batch.X.expand(n_samples, -1, -1),
        batch.y.expand(n_samples, -1, -1),
        None if weights is None else weights.expand(n_samples, -1, -1),
        batch.totals.expand(n_samples, -1) if isinstance(batch.totals, Tensor) else batch.totals,
    )


@dataclass
class Epoch:
    """Where training stands after an epoch.

    Attributes
    ----------
    objective : WeightsObjective
    loss : float
    settled : bool
        Whether training is over.
    gain : float
        What the last window gained, in nats.
    """

    objective: WeightsObjective
    loss: float
    settled: bool = False
    gain: float = np.inf


def train_weights(
    objective: WeightsObjective,
    optimizer: Stepwise,
    rows: Rows,
    weights: Tensor | None,
    *,
    batch_size: int,
    max_iter: int,
    tol: float,
    random_state: np.random.RandomState,
) -> Iterator[Epoch]:
    """Train, and yield after each epoch, until the smoothed loss has settled."""
    batches = Batches(
        rows,
        None,
        None if weights is None else [weights],
        [batch_size],
        shuffle=True,
        random_states=[random_state],
    )
    n_steps = batches.n_batches[0]
    state = optimizer.start(objective, n_steps=[max_iter * n_steps])
    window = _Window(max(5, math.ceil(WINDOW / n_steps)), tol, objective.n)
    losses = epochs(objective, optimizer, state, batches, np.ones(1, dtype=bool))
    for [loss] in losses:
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss is {loss}: training diverged. Take a lower learning rate, as in "
                f"optimizer=Adam({RATE / 10:g}), or scale the features."
            )
        warm = objective.n_steps >= objective.warm_up
        stalled = window.stalled(loss) if warm else None
        settled = stalled and (window.just_cut or not state.cut(0))
        if stalled is not None:
            window.just_cut = stalled
        yield Epoch(objective, loss, bool(settled), window.gain)


class _Window:
    """Compares the mean loss of some epochs with the lowest such mean so far."""

    def __init__(self, length: int, tol: float, n: float) -> None:
        self.length, self.tol, self.n = length, tol, n
        self.losses: list[float] = []
        self.best, self.gain, self.just_cut = np.inf, np.inf, False

    def stalled(self, loss: float) -> bool | None:
        """Take a loss; at the end of a window return whether it was no better, else None."""
        self.losses.append(loss)
        if len(self.losses) < self.length:
            return None
        mean = float(np.mean(self.losses))
        error = float(np.std(self.losses)) / self.length**0.5
        self.gain = self.n * (self.best - mean)
        stalled = self.gain < max(self.tol, self.n * error)
        self.best, self.losses = min(self.best, mean), []
        return stalled
