r"""Whitening: data without means and correlations, in their principal directions.

The directions are those of the singular value decomposition :math:`X - \bar x = V D U^T` of
n rows, the map onto them :math:`K = D^{-1} U^T`, and :math:`z = \sqrt{n} K (x - \bar x)` has unit
covariance.
"""

import warnings
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor


class Directions(NamedTuple):
    """Principal directions, as columns ``(n_features, r)``, and their singular values ``(r,)``."""

    axes: Tensor
    lengths: Tensor

    @property
    def whitening(self) -> Tensor:
        """K = D^-1 U^T, (r, n_features)."""
        return (self.axes / self.lengths).mT

    @property
    def dewhitening(self) -> Tensor:
        """The pseudo-inverse of K, U D, (n_features, r)."""
        return self.axes * self.lengths


def principal_directions(X: Tensor, mean: Tensor, solver: str) -> Directions:
    """Return the directions of centred X whose length is more than rounding, longest first."""
    try:
        axes, lengths = _by_svd(X) if solver == "svd" else _by_eigh(X)
    except torch.linalg.LinAlgError as error:
        raise ValueError(
            f"X cannot be whitened with whiten_solver={solver!r}: its entries are too large, so "
            "that sums overflow. Divide X by its largest entry."
        ) from error
    size = torch.hypot(lengths[0], mean.abs().max() * len(X) ** 0.5)  # a norm may overflow
    present = lengths > 10 * torch.finfo(X.dtype).eps * size
    axes, lengths = axes[:, present], lengths[present]
    return Directions((axes * _signs(axes)).to(X.dtype), lengths.to(X.dtype))


def _by_svd(X: Tensor) -> tuple[Tensor, Tensor]:
    if len(X) > X.shape[1]:  # R of X = QR has the same right singular vectors, and is small
        X = torch.linalg.qr(X, mode="r").R
    _, lengths, Vh = torch.linalg.svd(X, full_matrices=False)
    return Vh.mT, lengths


def _by_eigh(X: Tensor) -> tuple[Tensor, Tensor]:
    X = X.double()  # squares need twice the digits
    values, axes = torch.linalg.eigh(X.mT @ X)
    noise = len(values) * torch.finfo(X.dtype).eps * values[-1]
    values = torch.where(values > noise, values, 0)
    return axes.flip(-1), values.sqrt().flip(-1)


def _signs(axes: Tensor) -> Tensor:
    """Return the sign of the first entry of each column that is not zero up to rounding.

    With that of the first entry itself, a constant first feature would make all axes vanish.
    """
    visible = axes.abs() > 10 * torch.finfo(axes.dtype).eps
    first = visible.to(torch.uint8).argmax(dim=0, keepdim=True)
    return axes.gather(0, first).sign()


@dataclass(frozen=True)
class White:
    """White data, and how they came to be so.

    Attributes
    ----------
    Z : Tensor of shape (k, n)
    missing : int
        How many of the components asked for have no direction to vary in.
    mean : Tensor of shape (n_features,) or None
        None if the data were white as given, as are the directions.
    directions : Directions or None
        The k directions kept.
    """

    Z: Tensor
    missing: int = 0
    mean: Tensor | None = None
    directions: Directions | None = None

    @classmethod
    def of(cls, X: Tensor, n_components: int, solver: str) -> Self:
        """Whiten X ``(n, n_features)``, on `n_components` directions or as many as vary.

        Raises
        ------
        ValueError
            If X is constant, or too large to be whitened.
        """
        mean = X.mean(dim=0, dtype=torch.float64).to(X.dtype)
        X = X - mean
        axes, lengths = principal_directions(X, mean, solver)
        kept = Directions(axes[:, :n_components], lengths[:n_components])
        rank = len(kept.lengths)
        finer = " (as far as whiten_solver='eigh' can see; 'svd' sees further)"
        finer = finer if solver == "eigh" else ""
        if rank == 0:
            raise ValueError(f"X is constant up to rounding{finer}: there is nothing to separate.")
        if rank < n_components:
            warnings.warn(
                f"There are some small singular values: X varies in {rank} directions{finer}, "
                f"and the components beyond are zero. Set n_components={rank}.",
                stacklevel=2,
            )
        return cls(kept.whitening.mul(len(X) ** 0.5) @ X.mT, n_components - rank, mean, kept)

    @property
    def whitening(self) -> Tensor:
        """K, (n_components, n_features), its missing rows zero."""
        return F.pad(self.directions.whitening, (0, 0, 0, self.missing))

    def maps(self, W: Tensor, unit_variance: bool) -> tuple[Tensor, Tensor]:
        """Return the map from data to sources ``(m, p)``, and its pseudo-inverse ``(p, m)``.

        As W is orthogonal and the directions are orthonormal, the latter needs no inversion.
        """
        if self.directions is None:
            return W, W.mT
        scale = self._source_scale(W) if unit_variance else W.new_ones(len(W))
        components = (W / scale[:, None]) @ self.directions.whitening
        mixing = self.directions.dewhitening @ (W.mT * scale)
        return F.pad(components, (0, 0, 0, self.missing)), F.pad(mixing, (0, self.missing))

    def _source_scale(self, W: Tensor) -> Tensor:
        """Return the standard deviations of W K (x - mean), 1 / sqrt(n) up to rounding."""
        covariance = self.Z @ self.Z.mT / self.Z.shape[1]
        return ((W @ covariance) * W).sum(dim=1).sqrt() / self.Z.shape[1] ** 0.5


def in_order(components: Tensor, mixing: Tensor) -> tuple[Tensor, Tensor]:
    """Return both maps with the sources sorted by the squared norm of their mixing column.

    The largest entry of each column is made positive.
    """
    order = mixing.square().sum(dim=0).argsort(descending=True, stable=True)
    components, mixing = components[order], mixing[:, order]
    largest = mixing.abs().argmax(dim=0, keepdim=True)
    signs = torch.where(mixing.gather(0, largest) < 0, -1.0, 1.0).to(mixing.dtype)
    return components * signs.mT, mixing * signs
