r"""Losses of one row, and their gradients by the network's last output z.

Each loss is paired with the link that makes its derivative simple, so that the network ends
at z (the logits), the loss is computed from z without overflow, and the prediction is
``LINKS[out_activation](z)``. The fast ``rows_and_delta`` and the pure ``rows`` compute the same
numbers; the tests hold one against the other through autograd.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from skbasics._sklearn import Interval
from skbasics._values import Value

LINKS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda Z: Z,
    "logistic": torch.sigmoid,
    "softmax": lambda Z: torch.softmax(Z, -1),
    "exp": torch.exp,
}


class Loss(Value, ABC):
    """What one row costs, as a function of the network's last output.

    Targets are ``(K, batch, n_outputs)`` like the outputs (class numbers ``(K, batch, 1)``
    for the cross-entropy); the cost of a row is summed over its outputs.
    """

    out_activation: ClassVar[str] = "identity"

    @property
    def name(self) -> str:
        """What loss this is, in a word that another process would use too."""
        return repr(self)

    @abstractmethod
    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each row, ``(K, batch)``."""

    def rows_and_delta(self, Z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of each row and its gradient by Z; by autograd unless overridden."""
        with torch.enable_grad():
            Z = Z.detach().requires_grad_()
            rows = self.rows(Z.clone(), y)
            if not rows.requires_grad:
                raise ValueError(
                    "The 'loss' callable returned a tensor without a gradient. Write it in "
                    "differentiable torch operations of the prediction, its first argument."
                )
            (delta,) = torch.autograd.grad(rows.sum(), Z)
        return rows.detach(), delta

    def check_target(self, y: Tensor) -> None:
        """Raise if the targets lie outside the loss's domain."""


@dataclass(frozen=True)
class CrossEntropy(Loss):
    r"""Multinomial log loss, :math:`\ell = -\log \mathrm{softmax}(z)_y` with class number y.

    :math:`\partial \ell / \partial z = \mathrm{softmax}(z) - e_y`.
    """

    out_activation = "softmax"

    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        return -torch.log_softmax(Z, -1).gather(-1, y)[..., 0]

    def rows_and_delta(self, Z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        # Over the first of two axes torch vectorises along the second: with the few classes
        # of most problems that takes half the time.
        log_probability, labels = torch.log_softmax(Z.mT, 1), y.mT
        rows = log_probability.gather(1, labels)[:, 0].neg_()
        delta = log_probability.exp_().scatter_(1, labels, -1, reduce="add")
        return rows, delta.mT


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    r"""Log loss of independent yes-no outputs, :math:`\ell = \log(1 + e^z) - y z`.

    :math:`\partial \ell / \partial z = \sigma(z) - y`.
    """

    out_activation = "logistic"

    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(Z, y, reduction="none").sum(-1)

    def rows_and_delta(self, Z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.rows(Z, y), torch.sigmoid(Z).sub_(y)


@dataclass(frozen=True)
class SquaredError(Loss):
    r"""Half the squared error, :math:`\ell = \tfrac12 (z - y)^2`, as in scikit-learn.

    Examples
    --------
    >>> import torch
    >>> from skbasics import SquaredError
    >>> float(SquaredError().rows(torch.tensor([[3.0]]), torch.tensor([[1.0]])))
    2.0
    """

    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        return (Z - y).square().sum(-1) / 2

    def rows_and_delta(self, Z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        residual = Z - y
        return residual.square().sum(-1).div_(2), residual


@dataclass(frozen=True)
class AbsoluteError(Loss):
    r"""The absolute error, :math:`\ell = |z - y|`; its minimum is the conditional median.

    Examples
    --------
    >>> import numpy as np
    >>> from skbasics import AbsoluteError, MLPRegressor
    >>> X, y = np.zeros((5, 1)), [1.0, 2.0, 3.0, 4.0, 100.0]
    >>> median = MLPRegressor((), loss=AbsoluteError(), optimizer="lbfgs", alpha=0).fit(X, y)
    >>> print(median.predict(X[:1]).round(3))
    [3.]
    """

    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        return (Z - y).abs().sum(-1)

    def rows_and_delta(self, Z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        residual = Z - y
        return residual.abs().sum(-1), residual.sign_()


@dataclass(frozen=True)
class Huber(Loss):
    r"""Squared error near zero, absolute error far from it.

    .. math::
        \ell = \begin{cases} \tfrac12 r^2 & |r| \le \delta \\
        \delta (|r| - \tfrac12 \delta) & \text{otherwise} \end{cases}
        \qquad r = z - y

    Parameters
    ----------
    delta : float, default=1.0
        Where the one becomes the other, in units of y.

    Examples
    --------
    >>> from skbasics.network import Huber
    >>> Huber(delta=2.0)
    Huber(delta=2.0)
    """

    delta: float = 1.0

    _parameter_constraints: ClassVar[dict] = {"delta": [Interval(Real, 0, None, closed="neither")]}

    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        return F.huber_loss(Z, y, reduction="none", delta=self.delta).sum(-1)

    def rows_and_delta(self, Z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.rows(Z, y), (Z - y).clamp_(-self.delta, self.delta)


@dataclass(frozen=True)
class Quantile(Loss):
    r"""The pinball loss, whose minimum is the conditional quantile of the given level.

    .. math:: \ell = \max(q\, r, (q - 1)\, r), \qquad r = y - z

    Parameters
    ----------
    level : float, default=0.5
        The level q, strictly between 0 and 1. At 0.5 the loss is half the absolute error.

    Examples
    --------
    >>> from skbasics.network import Quantile
    >>> Quantile(level=0.9).replace(level=0.1)
    Quantile(level=0.1)
    """

    level: float = 0.5

    _parameter_constraints: ClassVar[dict] = {"level": [Interval(Real, 0, 1, closed="neither")]}

    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        residual = y - Z
        return torch.maximum(self.level * residual, (self.level - 1) * residual).sum(-1)

    def rows_and_delta(self, Z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        residual = y - Z
        delta = (residual < 0).to(Z.dtype) - self.level
        return self.rows(Z, y), delta.masked_fill_(residual == 0, 0.5 - self.level)


@dataclass(frozen=True)
class Poisson(Loss):
    r"""Half the Poisson deviance with the logarithmic link, for counts and rates.

    .. math:: \ell = y \log y - y z - y + e^z, \qquad \hat y = e^z

    :math:`\partial \ell / \partial z = e^z - y`.

    Examples
    --------
    >>> import numpy as np
    >>> from skbasics import MLPRegressor, Poisson
    >>> X, y = np.zeros((4, 1)), [0, 1, 2, 5]
    >>> rate = MLPRegressor((), loss=Poisson(), optimizer="lbfgs", alpha=0).fit(X, y)
    >>> print(rate.predict(X[:1]).round(3))
    [2.]
    """

    out_activation = "exp"

    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        return (torch.xlogy(y, y) - y * Z - y + Z.exp()).sum(-1)

    def rows_and_delta(self, Z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.rows(Z, y), Z.exp().sub_(y)

    def check_target(self, y: Tensor) -> None:
        if (y < 0).any():
            raise ValueError(
                f"loss='poisson' needs y >= 0, got a minimum of {float(y.min()):g}. "
                "Poisson regression models counts; use loss='squared_error' for other targets."
            )


@dataclass(frozen=True)
class CallableLoss(Loss):
    """A user's own loss, differentiated by autograd.

    Parameters
    ----------
    function : callable
        Takes the prediction and the target, both ``(n, n_outputs)``, and returns the loss of
        each row, ``(n,)``, in torch operations.
    """

    function: Callable[[Tensor, Tensor], Tensor]

    @property
    def name(self) -> str:
        kind = self.function if hasattr(self.function, "__qualname__") else type(self.function)
        return f"{kind.__module__}.{kind.__qualname__}"

    def rows(self, Z: Tensor, y: Tensor) -> Tensor:
        rows = self.function(Z.flatten(0, 1), y.flatten(0, 1).clone())  # it may work in place
        expected = Z.shape[0] * Z.shape[1]
        if not isinstance(rows, Tensor) or rows.shape != (expected,):
            given = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
            raise ValueError(
                f"The 'loss' callable returned {given} for {expected} rows. It must return one "
                f"loss a row, a tensor of shape ({expected},): sum over the outputs "
                "(`.sum(-1)`), not over the rows."
            )
        return rows.reshape(Z.shape[:2])


REGRESSION_LOSSES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "poisson": Poisson,
    "quantile": Quantile,
}


def resolve_loss(loss: Any) -> Loss:
    """Return the loss that a name, a value or a callable stands for."""
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type):
        raise ValueError(f"loss={loss.__name__} is a class; pass a value, loss={loss.__name__}().")
    if not isinstance(loss, str):
        return CallableLoss(loss)
    if loss not in REGRESSION_LOSSES:
        raise ValueError(f"Unknown loss {loss!r}. The names are {sorted(REGRESSION_LOSSES)}.")
    return REGRESSION_LOSSES[loss]()
