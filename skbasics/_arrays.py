"""The border between the caller's arrays and the tensors inside.

An estimator crosses it once on the way in (`as_tensor`) and once on the way out
(`Border.as_caller`). Between the two there are only tensors.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn import get_config
from sklearn.utils import check_random_state

import skbasics._threads  # noqa: F401 for what a forked process must do before it computes
from skbasics._sklearn import get_namespace_and_device, move_to, plain

CPU = torch.device("cpu")
SEED_BOUND = np.iinfo(np.int32).max
MOST_NUMBERS = 2**40
"""What no memory holds; a size beyond it is refused before it overflows something."""


def as_tensor(
    array: Any, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Return `array` as a tensor, sharing its memory where that is possible.

    The tensor must not be written to: it may be the user's own array, even a read-only
    memory map.
    """
    if not isinstance(array, torch.Tensor):
        array = np.asarray(as_numpy(array), order="C")  # which keeps scalars scalar
        if not array.flags.writeable:
            array = np.asarray(_Writeable(array))
        array = torch.from_numpy(array)
    if array.requires_grad:
        array = array.detach()
    return array if device is None and dtype is None else array.to(device=device, dtype=dtype)


class _Writeable:
    """The memory of a read-only array, announced as writeable.

    torch knows no read-only tensors and warns of them; silencing a warning is not safe among
    threads. We never write to what we are given.
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array  # keeps the memory alive
        address = array.__array_interface__["data"][0]
        self.__array_interface__ = array.__array_interface__ | {"data": (address, False)}


def as_numpy(array: Any) -> Any:
    """Return an array of another namespace as NumPy; anything else as it is.

    Lists, data frames and sparse matrices are left to scikit-learn's validation.
    """
    if isinstance(array, torch.Tensor):
        return array.detach().cpu().numpy()
    if isinstance(array, np.ndarray) or not hasattr(array, "__array_namespace__"):
        return array
    return move_to(array, xp=np, device="cpu")


def as_floats(name: str, given: Any) -> np.ndarray:
    """Return the numbers that a parameter holds as a NumPy array in float64.

    Raises
    ------
    ValueError
        If it holds no numbers, or lists of unequal lengths, or if a masked array hides entries.
    """
    given = plain(name, given)
    try:
        return np.asarray(as_numpy(given), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers, got {given!r}.") from error


@dataclass(frozen=True)
class Border:
    """Where a fit's arrays came from, and where its results go back to."""

    xp: Any
    device: Any

    @classmethod
    def of(cls, X: Any) -> "Border":
        """Return the border of X: its array namespace and device, as scikit-learn sees them."""
        if not get_config()["array_api_dispatch"]:
            return cls(np, None)
        xp, _, device = get_namespace_and_device(X)
        return cls(xp, device)

    @classmethod
    def like(cls, array: Any) -> "Border":
        """Return the border of a fitted attribute, whatever scikit-learn's dispatch says."""
        if isinstance(array, np.ndarray):
            return cls(np, None)
        if isinstance(array, torch.Tensor):
            return cls(torch, array.device)
        return cls(array.__array_namespace__(), array.device)

    @property
    def is_numpy(self) -> bool:
        """Whether the caller speaks NumPy."""
        return self.xp is np or "numpy" in self.xp.__name__

    @property
    def is_torch(self) -> bool:
        """Whether the caller speaks torch."""
        return "torch" in self.xp.__name__

    def follow(self, array: Any) -> Any:
        """Return a NumPy array in the caller's namespace, if it has numbers and not words."""
        if self.is_numpy or not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            return array
        return self.as_caller(as_tensor(array))

    def as_caller(self, tensor: torch.Tensor) -> Any:
        """Return `tensor` in the caller's namespace, on the caller's device."""
        if self.is_numpy:
            return tensor.cpu().numpy()
        if self.is_torch:
            return tensor.to(self.device)
        return move_to(tensor.cpu().numpy(), xp=self.xp, device=self.device)


def compute_device(border: Border, device: torch.device | str | None) -> torch.device:
    """Return the device to compute on: the caller's unless the parameter `device` names one.

    Raises
    ------
    ValueError
        If torch knows no such device or has none at hand.
    """
    if device is None:
        return border.device if border.is_torch else CPU
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).cpu()  # "meta" holds no numbers to bring back
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} cannot be used: {str(error).splitlines()[0]}. Use device=None "
            "(where X is), 'auto' (a GPU if there is one) or 'cpu'."
        ) from error
    return chosen


def check_size(n_numbers: int, what: str) -> None:
    """Raise MemoryError if so many numbers, of which `what` says what they are, cannot be held."""
    if n_numbers > MOST_NUMBERS:
        raise MemoryError(f"{n_numbers:g} {what} are more than memory holds.")


def own_random_state(random_state: Any) -> np.random.RandomState:
    """Return a generator that belongs to one fit alone.

    An int seeds it as scikit-learn would. Anything else (None meaning NumPy's global
    generator) is drawn from once, for a seed, and then left alone.
    """
    if isinstance(random_state, (int, np.integer)):
        return check_random_state(int(random_state))
    seed = check_random_state(random_state).randint(SEED_BOUND)
    return np.random.RandomState(seed)


def column(values: list, like: torch.Tensor) -> float | torch.Tensor:
    """Return K numbers as one number if they agree, else as a ``(K, 1)`` column."""
    if all(value == values[0] for value in values):
        return values[0]
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]


def weighted_mean(values: torch.Tensor, weights: torch.Tensor | None) -> float:
    """Return the mean of one value a row; without weights every row counts once."""
    if weights is None:
        return float(values.mean())
    return float((values * weights).sum() / weights.sum())


def add_scaled_(target: torch.Tensor, source: torch.Tensor, scale: float | torch.Tensor) -> None:
    """Add ``scale * source`` to `target` in place; `scale` is a number or a column."""
    if isinstance(scale, torch.Tensor):
        target.addcmul_(source, scale)
    else:
        target.add_(source, alpha=scale)
