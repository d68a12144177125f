"""A user's function as an objective: what `minimize` minimises."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skbasics._derivatives import hessians, values_and_gradients


class NotFiniteError(ValueError):
    """A function stopped being finite."""


class WholeRow:
    """The only parameter of a function: the row of theta itself."""

    @staticmethod
    def view(matrix: Tensor) -> Tensor:
        """Return the parameter of every replica."""
        return matrix


@dataclass
class Evaluation:
    """A point where the gradient was taken, and what was found there.

    Attributes
    ----------
    x, jac : Tensor of shape (K, D)
    fun : Tensor of shape (K,)
    """

    x: Tensor
    fun: Tensor
    jac: Tensor


class FunctionObjective:
    """K functions, or one function from K starts, without batches.

    Parameters
    ----------
    function : callable
        Written in torch. Maps ``(K, D)`` to ``(K,)``, value k depending on row k alone; or
        ``(D,)`` to a number if `single`.
    start : Tensor of shape (K, D)
    single : bool
        Whether the function takes one point, and K is one.

    Attributes
    ----------
    theta, theta_gradient : Tensor of shape (K, D)
        Where the replicas stand, and the gradient there. Rules may scale the latter.
    evaluated : Evaluation
        The last evaluation of the gradient, untouched.
    first : Evaluation or None
        The first since this was set to None: some rules evaluate more than once a step.
    n_evaluations : int
        How often the function was called.
    """

    repeatable = True

    def __init__(self, function: Callable[[Tensor], Tensor], start: Tensor, single: bool) -> None:
        self.function, self.single = function, single
        self.theta, self.theta_gradient = start, torch.zeros_like(start)
        self.slots, self.n_decayed = [WholeRow()], start.shape[1]
        self.n_evaluations = 0
        self.evaluated: Evaluation
        self.first: Evaluation | None = None

    def gradient(self, batch: None = None) -> Tensor:
        """Return the K values at theta and leave the gradient in `theta_gradient`.

        Raises
        ------
        ValueError
            If the function returns another shape, is not differentiable, or not finite.
        """
        fun, jac = self._differentiated()
        if jac is None:
            raise ValueError(
                f"fun returned a tensor without a gradient for x of shape {self._shape}. It must "
                "be written in differentiable torch operations of x, without detach(), item(), "
                "comparisons or argmax alone."
            )
        if not torch.isfinite(fun.sum() + jac.sum()):  # which may be so by overflow alone
            self._check_finite("value", fun)
            self._check_finite("gradient", jac)
        self.evaluated = Evaluation(self.theta.clone(), fun, jac)
        if self.first is None:
            self.first = self.evaluated
        self.theta_gradient.copy_(jac)
        return fun

    @torch.enable_grad()  # which the function may need, if it differentiates by itself
    def loss(self, batch: None = None) -> Tensor:
        """Return the K values at theta, finite or not."""
        return self._values(self.theta.detach().clone().requires_grad_()).detach()

    def hessian(self, batch: None = None) -> Tensor:
        """Return the K Hessians at theta, ``(K, D, D)``."""
        return hessians(self._values, self.theta)

    def _differentiated(self) -> tuple[Tensor, Tensor | None]:
        try:
            return values_and_gradients(self._values, self.theta)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise ValueError(
                f"fun cannot be differentiated at x of shape {self._shape}: {_first_line(error)}. "
                "Write it in differentiable torch operations, without changing tensors in place."
            ) from error

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(self.theta.shape[1:] if self.single else self.theta.shape)

    def _values(self, theta: Tensor) -> Tensor:
        x = theta[0] if self.single else theta
        self.n_evaluations += 1
        try:
            values = self.function(x)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"fun failed on a {x.dtype} tensor of shape {self._shape}: {_first_line(error)}. "
                "It must be written in torch operations."
            ) from error
        self._check_shape(values)
        return values.reshape(len(theta)).to(theta.dtype)

    def _check_shape(self, values: Any) -> None:
        if not isinstance(values, Tensor):
            raise ValueError(
                f"fun returned {type(values).__name__} for x of shape {self._shape}; it must "
                "return a torch tensor, computed from x by torch operations."
            )
        if values.is_complex():
            raise ValueError("fun returned complex numbers; a minimum needs real ones.")
        expected = () if self.single else self._shape[:1]
        if values.shape != expected:
            hint = "a single number, as by .sum()"
            if not self.single:
                hint = "value k from row k alone, as by .sum(-1): x holds a start in each row"
            raise ValueError(
                f"fun returned a tensor of shape {tuple(values.shape)} for x of shape "
                f"{self._shape}; expected {expected}, {hint}."
            )

    def _check_finite(self, what: str, numbers: Tensor) -> None:
        bad = ~torch.isfinite(numbers.reshape(len(self.theta), -1)).all(1)
        if bad.any():
            first = int(bad.nonzero()[0, 0])
            where = "" if self.single else f"start {first} ({int(bad.sum())} such): "
            raise NotFiniteError(
                f"{where}the {what} of fun is {numbers[first].tolist()} at "
                f"x={self.theta[first].tolist()}, after {self.n_evaluations} evaluations."
            )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error) else type(error).__name__
