"""What a variational autoencoder knows of rows: their density, their latents, new rows."""

import math
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
from skbasics.network import Loss

N_DRAWS = 64
"""Draws of the latents by which a row is scored."""

N_HELD_OUT_DRAWS = 16
"""Draws by which held-out rows are, epoch after epoch."""

IMPUTATION_PASSES = 20
"""How often missing values are filled in anew from what the row's code says of them."""


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
        """Return what is left of each row when it has gone through its code.

        Missing values are filled in: by the feature's mean first, then some times by what the
        row's own code makes of them, so that they come to agree with the rest of the row.

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
        if n_importance != int(n_importance) or n_importance < 1:
            raise ValueError(
                f"n_importance must be a whole number of draws >= 1, got {n_importance!r}."
            )
        X, border, learned = self._before_prediction(X, "log_likelihood")
        self._check_domain(X)
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
        """
        check_is_fitted(self)
        random_state = check_random_state(random_state)
        theta, statistics = self._learned_on(None)
        codes = random_state.standard_normal((n_samples, self._structure.n_components))
        rows = self._decoded(torch.from_numpy(codes).to(theta), (theta, statistics))
        if noise and self.likelihood == "gaussian":
            draws = random_state.standard_normal(tuple(rows.shape))
            rows = rows + self.noise_scale_ * torch.from_numpy(draws).to(rows)
        elif noise:
            draws = random_state.uniform(size=tuple(rows.shape))
            rows = (torch.from_numpy(draws).to(rows) < rows).to(rows.dtype)
        return Border.like(self._theta).as_caller(rows)

    def _likelihood(self, missing: bool) -> Loss:
        """Return minus the log density of rows given the decoder's output."""
        raise NotImplementedError

    def _posterior(self, X: Any, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """Return means and log variances of the latents."""
        return self._encoded(X, parameters, n_back=1).split(self._structure.n_components, -1)

    def _reconstructed(self, X: Any, parameters: Parameters) -> Tensor:
        rows = super()._reconstructed(X, parameters)
        if not any_missing(X):
            return rows
        X = dense_rows(X, slice(None), rows)
        missing = X.isnan()
        incomplete = missing.any(1)
        part, holes = X[incomplete], missing[incomplete]
        filled = rows[incomplete]
        for _ in range(IMPUTATION_PASSES):
            filled = super()._reconstructed(torch.where(holes, filled, part), parameters)
        rows[incomplete] = filled
        return rows

    def _row_scores(self, X: Tensor, parameters: Parameters) -> Tensor:
        return self._bound(X, parameters, N_DRAWS, 1.0)

    def _held_out_scores(self, X: Tensor, parameters: Parameters) -> Tensor:
        return self._bound(X, parameters, N_HELD_OUT_DRAWS, self.beta)

    @property
    def _scored_width(self) -> int:
        return N_DRAWS * prediction_architecture(self._structure).widest

    def _bound(self, X: Tensor, parameters: Parameters, n_draws: int, beta: float) -> Tensor:
        """Return the likelihood less the divergence, of rows ``(1, n, n_features)``."""
        mean, log_variance = self._latents(X, parameters)
        draws = even_draws(n_draws, self._structure.n_components, mean)
        loss = self._decoded_losses(X, mean, log_variance, draws, parameters).mean(0, keepdim=True)
        return -loss - beta * kl_to_standard_normal(mean, log_variance).sum(-1)

    def _log_sums(self, X: Any, parameters: Parameters, draws: Tensor) -> Tensor:
        """Return for each row the logarithm of the sum of its importance weights."""

        def of_block(X: Tensor) -> Tensor:
            mean, log_variance = self._latents(X, parameters)
            loss = self._decoded_losses(X, mean, log_variance, draws, parameters)
            z = mean + torch.exp(log_variance / 2) * draws[:, None]
            prior = (draws.square()[:, None] - z.square() + log_variance).sum(-1) / 2
            return torch.logsumexp(prior - loss, 0)[None, :, None]

        return predict_rows(of_block, X, parameters[0], self._scored_width)[:, 0]

    def _latents(self, X: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        network, n_layers = prediction_architecture(self._structure), self._structure.n_encoder - 1
        latents = network.apply(*parameters, X, n_layers=n_layers)
        return latents.split(self._structure.n_components, -1)

    def _decoded_losses(
        self,
        X: Tensor,
        mean: Tensor,
        log_variance: Tensor,
        draws: Tensor,
        parameters: Parameters,
    ) -> Tensor:
        """Return the losses ``(n_draws, n)`` of rows given draws of their latents."""
        network, first = prediction_architecture(self._structure), self._structure.n_encoder
        z = mean + torch.exp(log_variance / 2) * draws[:, None]
        out = network.apply(*parameters, z.reshape(1, -1, z.shape[-1]), first=first)
        loss = self._likelihood(any_missing(X))
        return loss.rows(out.view(*z.shape[:2], -1), X)
