"""Several processes that train one model together: who they are, and what they tell each other.

Nothing here is asked for unless a fit is made inside of `skbasics.distributed.data_parallel`.
"""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor

_BROKEN: MutableMapping[Any, str] = WeakKeyDictionary()
"""By what the ranks of process groups may have fallen out of step."""

WAIT = timedelta(seconds=1)
"""How long a rank waits for a message before it asks whether another has failed."""


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
        self._listens = dist.get_backend(group) == "gloo"  # others cannot wait for a while only
        self._fit: str | None = None

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
        self.agreed = self._fit = None
        try:
            yield
        except Exception as error:
            self._end(error)
            raise
        except BaseException as error:
            self._leave(error)
            raise

    def _end(self, error: Exception) -> None:
        """Tell the others of an error that they may not have."""
        if self.agreed is None and not self.broken:
            with suppress(RuntimeError):  # there is an error to tell of already
                self.gather({"error": f"{type(error).__name__}: {error}"})
        elif self.agreed and not isinstance(error, ValueError):  # by which all ranks fail alike
            self._leave(error)

    def _leave(self, error: BaseException) -> None:
        """Leave the others in the midst of a fit, with a word in the store that they share."""
        self._break(type(error).__name__)
        with suppress(RuntimeError):  # the store may be gone, with the process that kept it
            if self._fit is not None and not self._store.check([self._fit]):
                self._store.set(self._fit, f"Rank {self.rank}: {type(error).__name__}: {error}")

    @property
    def _store(self) -> Any:
        return dist.distributed_c10d._get_process_group_store(self.group)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks, in their order."""
        named = [("", None)] * self.size
        mine = f"skbasics/{uuid4().hex}", value
        if self._fit is not None:  # who has failed since does not come
            self._call(lambda: dist.barrier(group=self.group, async_op=True))
        self._call(lambda: dist.all_gather_object(named, mine, group=self.group))
        self._fit = named[0][0]
        return [each for _, each in named]

    def sums(self, *tensors: Tensor) -> list[Tensor]:
        """Return the sums of each tensor over the ranks, by one message."""
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self._call(lambda: dist.all_reduce(flat, group=self.group, async_op=True))
        parts = flat.split([tensor.numel() for tensor in tensors])
        return [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]

    def _call(self, collective: Callable[[], Any]) -> None:
        try:
            work = collective()
            if work is not None:
                self._wait(work)
        except RuntimeError as error:
            cause = str(error).partition("\n")[0]
            self._break("a message that failed")
            raise RuntimeError(
                f"Rank {self.rank} of {self.size} may have lost another rank in data-parallel "
                "training: a message failed, as it does where a rank has ended, has failed, or did "
                "not answer in the group's timeout. Look at the other ranks' output, and start the "
                f"processes again. ({cause})"
            ) from error

    def _wait(self, work: Any) -> None:
        """Wait for a message, unless another rank has left a word that it will not come."""
        while self._listens and not work.is_completed():
            try:
                work.wait(WAIT)
            except RuntimeError:  # not yet, or not at all, which the last wait tells
                self._listen()
        work.wait()

    def _listen(self) -> None:
        """Raise if another rank has left a word."""
        word = ""
        with suppress(RuntimeError):
            if self._fit is not None and self._store.check([self._fit]):
                word = self._store.get(self._fit).decode()
        if word:
            raise RuntimeError(word)


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
