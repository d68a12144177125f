"""Several processes that train one model together: who they are, and what they tell each other.

Nothing here is asked for unless a fit is made inside of `skbasics.distributed.data_parallel`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


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
    broken : str or None
        By what the ranks may have fallen out of step.
    """

    def __init__(self, group: Any) -> None:
        self.group = group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        self.broken: str | None = None
        self._training = False

    @contextmanager
    def fitting(self) -> Iterator[None]:
        """Watch over a fit: what only this rank has failed by leaves the others behind."""
        if self.broken:
            raise RuntimeError(
                f"An earlier fit in this data_parallel context ended on rank {self.rank} by "
                f"{self.broken}, and the ranks may be out of step. Start the processes again."
            )
        self._training = False
        try:
            yield
        except ValueError:  # of data and divergence, by which all ranks fail alike
            raise
        except BaseException as error:
            if self._training:
                self.broken = self.broken or type(error).__name__
            raise

    def begin_training(self) -> None:
        """Note that the ranks have agreed on a fit, and depend on each other from here on."""
        self._training = True

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
            self.broken = "the loss of another rank"
            raise RuntimeError(
                f"Rank {self.rank} of {self.size} lost another rank in data-parallel training: it "
                "has ended, failed, or did not answer in the group's timeout. Look at the other "
                "ranks' output, and start the processes again."
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


def refuse_in_group(what: str, change: str) -> None:
    """Raise if it is a group that would fit, where `what` cannot be done together."""
    if active_group() is not None:
        raise NotImplementedError(f"{what} cannot be data-parallel. {change}")
