"""A user's log density: called, differentiated and checked."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from skbasics._derivatives import hessians, values_and_gradients


class LogJoint:
    """A log density up to a constant, of rows ``(S, D)`` in float64.

    Parameters
    ----------
    function : callable
        The user's, mapping ``(S, D)`` to ``(S,)``.
    width : int
        The number D.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], width: int) -> None:
        self.function, self.width = function, width

    def __call__(self, z: Tensor) -> Tensor:
        """Return the values ``(S,)``, through which autograd may go.

        Raises
        ------
        ValueError
            If the function fails, or returns anything but S real numbers.
        """
        try:
            values = self.function(z)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, IndexError) as error:
            raise ValueError(
                f"log_joint failed on a torch.float64 tensor of shape {tuple(z.shape)}: "
                f"{_first_line(error)}. It must be written in torch operations on rows of "
                f"n_parameters={self.width} numbers."
            ) from error
        self._check_form(values, z)
        return values.to(torch.float64)

    @torch.no_grad()
    def values(self, z: Tensor) -> Tensor:
        """Return the values ``(S,)``, all finite."""
        values = self(z)
        self._check_finite("value", values, z)
        return values

    def values_and_gradients(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values ``(S,)`` and the gradients ``(S, D)``, all finite."""
        try:
            values, gradients = values_and_gradients(self, z)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise ValueError(
                f"log_joint cannot be differentiated at z of shape {tuple(z.shape)}: "
                f"{_first_line(error)}. Write it in differentiable torch operations, without "
                "changing tensors in place."
            ) from error
        if gradients is None:
            raise ValueError(
                f"log_joint returned a tensor without a gradient for z of shape {tuple(z.shape)}. "
                "It must be written in differentiable torch operations of z, without detach(), "
                "item() or NumPy."
            )
        self._check_finite("value", values, z)
        self._check_finite("gradient", gradients, z)
        return values, gradients

    def hessian(self, z: Tensor) -> Tensor:
        """Return the Hessian ``(D, D)`` at one point ``(D,)``."""
        return hessians(self, z[None])[0]

    def check_rows(self, z: Tensor) -> None:
        """Raise if the value of a row depends on the rows beside it."""
        together, alone = self.values(z), torch.cat([self.values(row[None]) for row in z])
        if not torch.allclose(together, alone, rtol=1e-6, atol=1e-6):
            raise ValueError(
                f"log_joint gives {together.tolist()} for {len(z)} rows together and "
                f"{alone.tolist()} for each alone. Value s must depend on row s alone, as by "
                ".sum(-1): z holds a draw in each row."
            )

    def _check_form(self, values: Any, z: Tensor) -> None:
        if not isinstance(values, Tensor):
            raise ValueError(
                f"log_joint returned {type(values).__name__} for z of shape {tuple(z.shape)}; it "
                "must return a torch tensor, computed from z by torch operations."
            )
        if values.is_complex():
            raise ValueError("log_joint returned complex numbers; a log density is real.")
        if values.shape != z.shape[:1]:
            raise ValueError(
                f"log_joint returned a tensor of shape {tuple(values.shape)} for z of shape "
                f"{tuple(z.shape)}; expected ({len(z)},), value s from row s alone, as by "
                ".sum(-1): z holds a draw in each row."
            )

    def _check_finite(self, what: str, numbers: Tensor, z: Tensor) -> None:
        if torch.isfinite(numbers.sum()):
            return
        bad = (~torch.isfinite(numbers.reshape(len(z), -1))).any(1).nonzero()[:, 0]
        if len(bad):
            first = int(bad[0])
            raise ValueError(
                f"the {what} of log_joint is {numbers[first].tolist()} at z={z[first].tolist()}. "
                "A Gaussian reaches every point, so the density must be positive and smooth "
                "everywhere: write a scale as the exponential of a parameter, a share as its "
                "sigmoid, and add the logarithm of the derivative."
            )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error) else type(error).__name__
