"""The code of a variational autoencoder: a Gaussian a row, and a draw from it."""

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from skbasics._arrays import SEED_BOUND
from skbasics._gaussian import kl_to_standard_normal
from skbasics.network._layer import Buffers, PricedLayer, RandomLayer, TrainingPass
from skbasics.network._layers import FunctionModule
from skbasics.network._row_noise import row_noise

LEAST, MOST = -30.0, 10.0
"""Log variances beyond these, which rows like no others may have, are taken for them."""


class GaussianLatent(PricedLayer, RandomLayer):
    r"""Means and log variances in, a draw of each row's Gaussian out; at prediction the mean.

    .. math:: z = \mu + \sigma \odot \epsilon, \qquad \epsilon \sim N(0, I), \quad
        \sigma = e^{\frac12 \log \sigma^2}

    Its price is the divergence from the prior, :math:`\beta_t \sum_j \max(\lambda,
    \overline{\mathrm{KL}}_j)` with :math:`\overline{\mathrm{KL}}_j` the mean over the batch of
    :math:`\mathrm{KL}(N(\mu_j, \sigma_j^2) \| N(0, 1))`, in nats.

    Parameters
    ----------
    width : int
        Latents; the input is twice as wide.
    beta, free_bits : list of K floats
        Strength of the price, and the nats a latent that are free.
    warmup : list of K ints
        Epochs in which the strength rises from zero to beta.
    """

    measured = "kl"

    def __init__(
        self,
        width: int,
        beta: Sequence[float],
        free_bits: Sequence[float],
        warmup: Sequence[int],
    ) -> None:
        self.width = width
        self.beta, self.free_bits, self.warmup = beta, free_bits, warmup
        self._buffers = Buffers()

    def seed(self, random_states: Sequence[np.random.RandomState], device: torch.device) -> None:
        seeds = [state.randint(SEED_BOUND) for state in random_states]
        # Far apart, so that the steps of an epoch, counted from there, meet no other epoch's.
        self._seeds = torch.tensor(seeds, device=device)[:, None, None] << 32

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        self._seeds += 1
        mean, log_variance = means_and_log_variances(X)
        self.noise = row_noise(training.keys, self._seeds, self.width).to(X.dtype)
        self._scale = torch.exp(log_variance / 2)
        self._mean, self._shares = mean, training.shares
        self._per_latent = training.mean(kl_to_standard_normal(mean, log_variance))
        self.prices = self._priced(self._per_latent)
        out = self._buffers.get((*X.shape[:2], self.width), X)
        return torch.addcmul(mean, self._scale, self.noise, out=out)

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        counts = (self._per_latent > self._column(self.free_bits)).to(delta.dtype)
        strength = (self._column(self._strength()) * counts)[:, None] * self._shares
        back = torch.empty(*delta.shape[:2], 2 * self.width, dtype=delta.dtype, device=delta.device)
        by_mean, by_log_variance = back[..., : self.width], back[..., self.width :]
        torch.addcmul(delta, strength, self._mean, out=by_mean)
        torch.mul(delta, self._scale, out=by_log_variance).mul_(self.noise)
        by_log_variance.addcmul_(strength, self._scale.square() - 1).div_(2)
        return back

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        mean, log_variance = means_and_log_variances(X)
        return mean if training is None else mean + torch.exp(log_variance / 2) * self.noise

    def price(self, X: Tensor, training: TrainingPass) -> Tensor:
        return self._priced(training.mean(kl_to_standard_normal(*means_and_log_variances(X))))

    @property
    def measures(self) -> Tensor:
        return self._per_latent.sum(1)

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        return FunctionModule(functools.partial(_means, self.width))

    def _priced(self, per_latent: Tensor) -> Tensor:
        floors = per_latent.new_tensor(self.free_bits)[:, None]
        strength = per_latent.new_tensor(self._strength())
        return strength * torch.maximum(per_latent, floors).sum(1)

    def _strength(self) -> list[float]:
        """Return what the divergence costs in this epoch, replica by replica."""
        ages = self.ages or self.warmup
        triples = zip(self.beta, self.warmup, ages, strict=True)
        return [b if age >= epochs else b * age / epochs for b, epochs, age in triples]

    def _column(self, values: Sequence[float]) -> Tensor:
        return self._mean.new_tensor(values)[:, None]


def means_and_log_variances(X: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Gaussians that an encoder's output stands for, variances kept in bounds.

    Gradients go through the bounds, and lead back.
    """
    mean, log_variance = X.chunk(2, -1)
    return mean, log_variance + (log_variance.clamp(LEAST, MOST) - log_variance).detach()


def _means(width: int, X: Tensor) -> Tensor:
    return X[..., :width]
