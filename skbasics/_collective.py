"""Several processes that train one model together: who they are, and what they tell each other.

Nothing here is asked for unless a fit is made inside of `skbasics.distributed.data_parallel`.
"""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor

_BROKEN: MutableMapping[Any, str] = WeakKeyDictionary()
"""By what the ranks of process groups may have fallen out of step."""


class Group:
    """The ranks that train together.

    Every rank makes the same calls in the same order. Sums are the same on all of them, to the bit.

    Parameters
    ----------
    group : ProcessGroup or None
        None is the default group.

    Attributes
    ----------
    rank, size : int
        This process's place, and how many there are.
    agreed : bool or None
        Whether all ranks are to train together; None before they have told each other.
    broken : str or None
        By what the ranks may have fallen out of step; all that have the same process group know.
    """

    def __init__(self, group: Any) -> None:
        self.group = dist.group.WORLD if group is None else group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        self.agreed: bool | None = None

    @property
    def broken(self) -> str | None:
        return _BROKEN.get(self.group)

    def _break(self, reason: str) -> None:
        _BROKEN.setdefault(self.group, reason)

    @contextmanager
    def fitting(self) -> Iterator[None]:
        """Watch over a fit: what only this rank has failed by leaves the others behind."""
        if self.broken:
            raise RuntimeError(
                f"An earlier fit by this group of processes ended on rank {self.rank} by "
                f"{self.broken}, and the ranks may be out of step. Start the processes again."
            )
        self.agreed = None
        try:
            yield
        except Exception as error:
            self._end(error)
            raise
        except BaseException as error:
            self._break(type(error).__name__)
            raise

    def _end(self, error: Exception) -> None:
        """Tell the others of an error that they may not have, if they wait for word of this rank.

        Once all train, those that have it wait no longer, and others do until the timeout.
        """
        if self.agreed is None and not self.broken:
            with suppress(RuntimeError):  # there is an error to tell of already
                self.gather({"error": f"{type(error).__name__}: {error}"})
        elif self.agreed and not isinstance(error, ValueError):  # by which all ranks fail alike
            self._break(type(error).__name__)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks, in their order."""
        values = [None] * self.size
        self._call(lambda: dist.all_gather_object(values, value, group=self.group))
        return values

    def sums(self, *tensors: Tensor) -> list[Tensor]:
        """Return the sums of each tensor over the ranks, by one message."""
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self._call(lambda: dist.all_reduce(flat, group=self.group))
        parts = flat.split([tensor.numel() for tensor in tensors])
        return [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]

    def _call(self, collective: Callable[[], Any]) -> None:
        try:
            collective()
        except RuntimeError as error:
            cause = str(error).partition("\n")[0]
            self._break("a message that failed")
            raise RuntimeError(
                f"Rank {self.rank} of {self.size} may have lost another rank in data-parallel "
                "training: a message failed, as it does where a rank has ended, has failed, or did "
                "not answer in the group's timeout. Look at the other ranks' output, and start the "
                f"processes again. ({cause})"
            ) from error


_GROUP: ContextVar[Group | None] = ContextVar("group", default=None)


def active_group() -> Group | None:
    """Return the group that fits of this thread or task are made in, if any."""
    return _GROUP.get()


@contextmanager
def in_group(group: Group) -> Iterator[None]:
    """Let a group make the fits of this thread or task, for the length of a ``with`` block."""
    token = _GROUP.set(group)
    try:
        yield
    finally:
        _GROUP.reset(token)


def refuse_in_group(what: str) -> None:
    """Raise in a group, whose other ranks may not be about to do the same."""
    if active_group() is not None:
        raise NotImplementedError(
            f"{what} cannot be data-parallel, because each rank would see its own rows alone. Call "
            "it outside of the data_parallel context."
        )
