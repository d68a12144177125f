"""What a variational autoencoder knows of rows: their density, their latents, new rows."""

import functools
import math
from dataclasses import replace
from numbers import Integral
from typing import Any

import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skbasics._arrays import Border
from skbasics._fitted import prediction_architecture
from skbasics._gaussian import kl_to_standard_normal
from skbasics._held_out import Parameters
from skbasics._training import dense_rows, predict_rows
from skbasics.autoencoder._base import AutoencoderBase
from skbasics.autoencoder._draws import even_draws, plain_draws
from skbasics.autoencoder._observed import any_missing
from skbasics.network import (
    LINKS,
    BernoulliLikelihood,
    GaussianLikelihood,
    Loss,
    means_and_log_variances,
)

N_DRAWS = 64
"""Draws of the latents by which a row is scored."""

N_HELD_OUT_DRAWS = 16
"""Draws by which held-out rows are, epoch after epoch."""

FILLING_PASSES = 20
"""How often missing values are filled in anew before an encoder that never saw any."""


class Density(AutoencoderBase):
    """The methods of a model of rows with Gaussian latents."""

    def posterior(self, X: Any) -> tuple[Any, Any]:
        """Return the Gaussians of the latents of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        mean, std : array of shape (n_samples, n_components)
            Means, which `transform` returns, and standard deviations.
        """
        X, border, learned = self._before_prediction(X, "posterior")
        mean, log_variance = self._posterior(X, learned)
        return border.as_caller(mean), border.as_caller(torch.exp(log_variance / 2))

    def reconstruct(self, X: Any) -> Any:
        r"""Return what is left of each row when it has gone through its code.

        Of a row with missing values all values are filled in, by the decoder's mean over draws of
        its latents, weighted by how well they explain what was observed: by
        :math:`p(x_{obs} \mid g(z)) \, p(z) / q(z \mid x)`. The encoder that q comes from sees the
        features' means in place of what is missing. If no row of its training had missing values,
        what the row's own code makes of them takes their place, some times over.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        rows : array of shape (n_samples, n_features)
            Of complete rows the same as ``inverse_transform(transform(X))``.
        """
        return super().reconstruct(X)

    def score_samples(self, X: Any) -> Any:
        """Return the evidence lower bound of each row, which its log density exceeds.

        The expectation is a mean over a fixed set of draws, the same for every row and call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        elbo : array of shape (n_samples,)
            In nats; of what was observed, where values are missing.
        """
        return super().score_samples(X)

    def log_likelihood(self, X: Any, n_importance: int = 100) -> Any:
        r"""Return the log density of each row, estimated by importance weights.

        .. math:: \log \hat p(x) = \log \frac1S \sum_{s=1}^S
            \frac{p(x \mid g(z_s))\, p(z_s)}{q(z_s \mid x)}, \qquad z_s \sim q(z \mid x)

        which on average is below the log density, and comes closer with more draws.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        n_importance : int, default=100
            Draws S a row; the same for every row and call.

        Returns
        -------
        log_likelihood : array of shape (n_samples,)
            In nats, higher is better.

        Raises
        ------
        ValueError
            If `n_importance` is not a whole number above zero.
        """
        if not isinstance(n_importance, Integral) or n_importance < 1:
            raise ValueError(
                f"n_importance must be a whole number of draws >= 1, got {n_importance!r}."
            )
        X, border, learned = self._before_scoring(X, "log_likelihood")
        draws = plain_draws(int(n_importance), self._structure.n_components, learned[0])
        total = None
        for some in draws.split(N_DRAWS):
            part = self._log_sums(X, learned, some)
            total = part if total is None else torch.logaddexp(total, part)
        return border.as_caller(total - math.log(n_importance))

    def sample(self, n_samples: int = 1, random_state: Any = None, *, noise: bool = False) -> Any:
        """Return new rows: what the decoder makes of draws of the prior.

        Parameters
        ----------
        n_samples : int, default=1
            How many.
        random_state : int, RandomState instance or None, default=None
            Seeds the draws.
        noise : bool, default=False
            Whether to draw rows from their distribution given the latents, noise and all; else
            they are its means.

        Returns
        -------
        rows : array of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If `n_samples` is not a whole number above zero.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be a whole number of rows >= 1, got {n_samples!r}.")
        random_state = check_random_state(random_state)
        theta, statistics = self._learned_on(None)
        codes = random_state.standard_normal((n_samples, self._structure.n_components))
        rows = self._decoded(torch.from_numpy(codes).to(theta), (theta, statistics))
        if noise and self.out_activation_ == "identity":
            draws = random_state.standard_normal(tuple(rows.shape))
            rows = rows + self.noise_scale_ * torch.from_numpy(draws).to(rows)
        elif noise:
            draws = random_state.uniform(size=tuple(rows.shape))
            rows = (torch.from_numpy(draws).to(rows) < rows).to(rows.dtype)
        return Border.like(self._theta).as_caller(rows)

    def _fitted_loss(self, missing: bool) -> Loss:
        """Return minus the log density of rows given the decoder's output, as it was fitted."""
        if self.out_activation_ == "logistic":
            return BernoulliLikelihood(missing)
        learned = self._structure.code.learns_noise
        return GaussianLikelihood(None if learned else self.noise_scale_, missing)

    def _posterior(self, X: Any, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return means and log variances of the latents."""
        return means_and_log_variances(self._encoded(X, parameters, n_back=1))

    def _reconstructed(self, X: Any, parameters: Parameters) -> Tensor:
        rows = self._through_code(X, parameters)
        if any_missing(X):
            X = dense_rows(X, slice(None), rows)
            incomplete = X.isnan().any(1)
            impute = functools.partial(self._imputed, parameters=parameters)
            rows[incomplete] = predict_rows(impute, X[incomplete], rows, self._scored_width)
        return rows

    def _imputed(self, X: Tensor, parameters: Parameters) -> Tensor:
        """Return what incomplete rows ``(1, n, n_features)`` are by what is known of them."""
        structure, filled = self._structure, X
        for _ in range(0 if structure.code.missing else FILLING_PASSES):
            guess = self._through_code(filled[0], parameters)[None]
            filled = torch.where(X.isnan(), guess, X)
        z, log_prior_ratio = self._drawn(
            filled, parameters, even_draws(N_DRAWS, structure.n_components, X)
        )
        out = self._decoder_outputs(z, parameters)
        losses = self._fitted_loss(missing=True).rows(out, X)
        weights = torch.softmax(log_prior_ratio - losses, 0)
        means = LINKS[self.out_activation_](out[..., : structure.n_features])
        return (weights[..., None] * means).sum(0, keepdim=True)

    def _row_scores(self, X: Tensor, parameters: Parameters) -> Tensor:
        loss = self._fitted_loss(any_missing(X))
        return self._bound(X, parameters, loss, N_DRAWS)

    def _held_out_scores(self, X: Tensor, parameters: Parameters) -> Tensor:
        loss = replace(self._loss(), missing=any_missing(X))
        return self._bound(X, parameters, loss, N_HELD_OUT_DRAWS, self.beta)

    @property
    def _scored_width(self) -> int:
        return N_DRAWS * prediction_architecture(self._structure).widest

    def _bound(
        self, X: Tensor, parameters: Parameters, loss: Loss, n_draws: int, beta: float = 1.0
    ) -> Tensor:
        """Return the likelihood less the divergence, of rows ``(1, n, n_features)``."""
        mean, log_variance = self._latents(X, parameters)
        draws = even_draws(n_draws, self._structure.n_components, mean)
        z = _at(draws, mean, log_variance)
        likelihood = -loss.rows(self._decoder_outputs(z, parameters), X).mean(0, keepdim=True)
        return likelihood - beta * kl_to_standard_normal(mean, log_variance).sum(-1)

    def _log_sums(self, X: Any, parameters: Parameters, draws: Tensor) -> Tensor:
        """Return for each row the logarithm of the sum of its importance weights."""

        def of_block(X: Tensor) -> Tensor:
            z, log_prior_ratio = self._drawn(X, parameters, draws)
            loss = self._fitted_loss(any_missing(X))
            losses = loss.rows(self._decoder_outputs(z, parameters), X)
            return torch.logsumexp(log_prior_ratio - losses, 0)[None, :, None]

        return predict_rows(of_block, X, parameters[0], self._scored_width)[:, 0]

    def _latents(self, X: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return means and log variances ``(1, n, n_components)``."""
        network, n_layers = prediction_architecture(self._structure), self._structure.n_encoder - 1
        return means_and_log_variances(network.apply(*parameters, X, n_layers=n_layers))

    def _drawn(self, X: Tensor, parameters: Parameters, draws: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return latents of rows, ``(n_draws, n, n_components)``, and of each
        :math:`\log p(z) - \log q(z \mid x)`.
        """
        mean, log_variance = self._latents(X, parameters)
        z = _at(draws, mean, log_variance)
        return z, (draws.square()[:, None] - z.square() + log_variance).sum(-1) / 2

    def _decoder_outputs(self, z: Tensor, parameters: Parameters) -> Tensor:
        """Return what the decoder makes of latents, ``(n_draws, n, n_outputs)``."""
        network, first = prediction_architecture(self._structure), self._structure.n_encoder
        out = network.apply(*parameters, z.reshape(1, -1, z.shape[-1]), first=first)
        return out.view(*z.shape[:2], -1)


def _at(draws: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    return mean + torch.exp(log_variance / 2) * draws[:, None]
