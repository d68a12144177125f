r"""Families of Gaussians, as maps of standard normal numbers: :math:`u = m + S \epsilon`.

A member is a row of parameters. Rows are the leading axis, so that an optimizer of this package
can change them; the kernels below take the only row.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from skbasics._gaussian import HALF_LOG_TWO_PI


class Family(ABC):
    """Gaussians of D dimensions whose scale S is of some form.

    Attributes
    ----------
    width : int
        The number D.
    n_parameters : int
        The length of a row.
    """

    name: str

    def __init__(self, width: int) -> None:
        self.width = width

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """The length of a row of parameters."""

    @abstractmethod
    def log_scales(self, row: Tensor) -> Tensor:
        """Return the logarithms of the diagonal of S, ``(D,)``."""

    @abstractmethod
    def scaled(self, row: Tensor, noise: Tensor) -> Tensor:
        r"""Return :math:`S \epsilon` of noise ``(S, D)``."""

    @abstractmethod
    def unscaled(self, row: Tensor, noise: Tensor) -> Tensor:
        r"""Return :math:`S^{-T} \epsilon`, which is minus the gradient of log q at the draws."""

    @abstractmethod
    def scale_gradient(self, row: Tensor, slopes: Tensor, noise: Tensor) -> Tensor:
        """Return the gradient by the parameters of S of a mean with slopes ``(S, D)`` by u."""

    @abstractmethod
    def scale(self, row: Tensor) -> Tensor:
        """Return S: its diagonal ``(D,)``, or the lower triangular matrix."""

    def start(self) -> Tensor:
        """Return the row of the standard normal distribution."""
        return torch.zeros(self.n_parameters, dtype=torch.float64)

    def draws(self, row: Tensor, noise: Tensor) -> Tensor:
        """Return u for noise ``(S, D)``."""
        return row[: self.width] + self.scaled(row, noise)

    def log_density(self, row: Tensor, noise: Tensor) -> Tensor:
        """Return log q at the draws of noise, ``(S,)``."""
        constant = self.width * HALF_LOG_TWO_PI + self.log_scales(row).sum()
        return -noise.square().sum(1) / 2 - constant

    def entropy(self, row: Tensor) -> Tensor:
        """Return the entropy in nats."""
        return self.log_scales(row).sum() + self.width * (HALF_LOG_TWO_PI + 0.5)

    def gradient(self, row: Tensor, slopes: Tensor, noise: Tensor) -> Tensor:
        """Return the gradient by the row of a mean over draws with slopes ``(S, D)`` by u."""
        return torch.cat([slopes.mean(0), self.scale_gradient(row, slopes, noise)])


class MeanField(Family):
    """Independent coordinates: S is diagonal. A row is ``[m, log diag S]``."""

    name = "mean_field"

    @property
    def n_parameters(self) -> int:
        return 2 * self.width

    def log_scales(self, row: Tensor) -> Tensor:
        return row[self.width :]

    def scaled(self, row: Tensor, noise: Tensor) -> Tensor:
        return self.scale(row) * noise

    def unscaled(self, row: Tensor, noise: Tensor) -> Tensor:
        return noise / self.scale(row)

    def scale_gradient(self, row: Tensor, slopes: Tensor, noise: Tensor) -> Tensor:
        return (slopes * noise).mean(0) * self.scale(row)

    def scale(self, row: Tensor) -> Tensor:
        return self.log_scales(row).exp()


class FullRank(Family):
    """Any covariance: S is lower triangular. A row is ``[m, log diag S, the rest of S]``."""

    name = "full_rank"

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self._below = torch.tril_indices(width, width, -1)

    @property
    def n_parameters(self) -> int:
        return self.width + self.width * (self.width + 1) // 2

    def log_scales(self, row: Tensor) -> Tensor:
        return row[self.width : 2 * self.width]

    def scaled(self, row: Tensor, noise: Tensor) -> Tensor:
        return noise @ self.scale(row).mT

    def unscaled(self, row: Tensor, noise: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(self.scale(row), noise, upper=False, left=False)

    def scale_gradient(self, row: Tensor, slopes: Tensor, noise: Tensor) -> Tensor:
        products = slopes.mT @ noise / len(noise)
        diagonal = products.diagonal() * self.log_scales(row).exp()
        return torch.cat([diagonal, products[self._below[0], self._below[1]]])

    def scale(self, row: Tensor) -> Tensor:
        S = torch.diag(self.log_scales(row).exp())
        return S.index_put(tuple(self._below), row[2 * self.width :])


FAMILIES: dict[str, type[Family]] = {"mean_field": MeanField, "full_rank": FullRank}
