"""Numbers of threads and filters, changed for a while without a trace, whoever else computes."""

import functools
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import joblib
import torch
from threadpoolctl import ThreadpoolController

_held: dict[str, tuple[int, weakref.WeakSet["_Guest"]]] = {}
"""By library: how many threads there were before, and who is inside."""

_lock = threading.Lock()

_one_at_a_time = threading.Lock()
"""Of those who change for a while what belongs to the process and is put back in order alone."""


class _Guest:
    """Who is inside, and no longer when it is gone, be it without a word."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()


def _begin_alone() -> None:
    """Do what a forked process does first: it has one thread, and locks of many."""
    global _lock, _one_at_a_time
    _lock, _one_at_a_time = threading.Lock(), threading.Lock()
    for _, inside in _held.values():
        for guest in list(inside):
            if guest.thread != threading.get_ident():
                inside.discard(guest)
    torch.set_num_threads(1)  # it believes in threads that are not here, and would wait for them


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_alone)


def one_blas_thread(**libraries: str) -> AbstractContextManager[None]:
    """Keep products of NumPy and scipy on one thread while anyone is inside.

    The counts belong to the process: the first to enter lowers them, the last to leave restores
    them.

    Parameters
    ----------
    **libraries : str
        Which ones, as threadpoolctl selects them.
    """
    chosen, guest = _chosen(*libraries.items()), _Guest()
    return _between(
        functools.partial(_enter, chosen, guest), functools.partial(_leave, chosen, guest)
    )


def one_torch_thread() -> AbstractContextManager[None]:
    """Let torch's loops work by themselves in this thread, and in no other.

    torch's own setting is also that of threads to come. OpenMP's is each thread's own.
    """
    chosen = _openmp() if torch.get_num_threads() > 1 else []
    return _between(functools.partial(_set, chosen, [1] * len(chosen)), _back_to_now(chosen))


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence warnings, in one thread at a time: filters belong to the process.

    Of two that overlap the last to leave would put back the silence of the other.
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def threads_kept() -> AbstractContextManager[None]:
    """Keep the numbers of threads of torch and numba in this thread from what uses numba inside.

    numba gives OpenMP all cores when it first computes in parallel, and torch with it. Those who
    lower numba's own number do not restore it where they fail.
    """
    return _between(_nothing, _back_to_now([*_openmp(), _Numba()]))


class _Numba:
    """numba, with the methods that threadpoolctl gives to a library."""

    @property
    def num_threads(self) -> int:
        import numba

        return numba.get_num_threads()

    def set_num_threads(self, number: int) -> None:
        import numba

        numba.set_num_threads(number)


def _openmp() -> list[Any]:
    return _chosen(("user_api", "openmp"))


def _back_to_now(libraries: list[Any]) -> Callable[[], None]:
    return functools.partial(_set, libraries, [each.num_threads for each in libraries])


def _nothing(**_: bool) -> None: ...


@contextmanager
def _between(enter: Callable[[], None], leave: Callable[[], None]) -> Iterator[None]:
    """Leave in any case: also if entering was interrupted, and again if leaving was."""
    try:
        enter()
        yield
    finally:
        try:
            leave()
        except BaseException:
            leave()
            raise


def _enter(chosen: list[Any], guest: _Guest) -> None:
    with _lock:
        for library in chosen:
            now = library.num_threads
            before, inside = _held.get(library.filepath, (now, weakref.WeakSet()))
            if not inside and now != 1:
                before = now  # who could not leave has been tidied up after
            inside.add(guest)
            _held[library.filepath] = before, inside
            _give(library, 1)


def _leave(chosen: list[Any], guest: _Guest) -> None:
    with _lock:
        for library in chosen:
            if library.filepath not in _held:
                continue
            before, inside = _held[library.filepath]
            inside.discard(guest)
            if not inside:
                if library.num_threads == 1:  # or another has set it since
                    _give(library, before)
                del _held[library.filepath]


def _set(chosen: list[Any], numbers: list[int]) -> None:
    for library, number in zip(chosen, numbers, strict=True):
        _give(library, number)


def _give(library: Any, number: int) -> None:
    """Set a number of threads from whichever thread.

    threadpoolctl from 3.8 on listens to the first thread that sets OpenBLAS's, until that is done
    with it, and to others in silence not at all.
    """
    release = getattr(library, "clear_controlling_thread", _nothing)
    release(force=True)
    library.set_num_threads(number)
    release(force=True)


def numba_threads(n_jobs: int | None) -> int:
    """Return how many threads numba gets: those asked for, at most as many as it can start."""
    import numba

    return min(joblib.effective_n_jobs(n_jobs), numba.config.NUMBA_NUM_THREADS)


@functools.cache
def _chosen(*libraries: tuple[str, str]) -> list[Any]:
    return ThreadpoolController().select(**dict(libraries)).lib_controllers
