"""Numbers of threads, lowered for a while without a trace, whoever else computes meanwhile."""

import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from threadpoolctl import ThreadpoolController

_held: dict[str, tuple[int, weakref.WeakSet["_Guest"]]] = {}
"""By library: how many threads there were before, and who is inside."""

_lock = threading.Lock()


class _Guest:
    """Who is inside, and no longer when it is gone, be it without a word."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()


def in_forked_processes(function: Callable[[], None]) -> Callable[[], None]:
    """Decorate what a forked process does first: it has one thread, and locks of many."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)
    return function


@in_forked_processes
def _begin_alone() -> None:
    global _lock
    _lock = threading.Lock()
    for _, inside in _held.values():
        for guest in list(inside):
            if guest.thread != threading.get_ident():
                inside.discard(guest)
    torch.set_num_threads(1)  # it believes in threads that are not here, and would wait for them


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
    chosen = _chosen(("user_api", "openmp")) if torch.get_num_threads() > 1 else []
    before = [each.num_threads for each in chosen]
    ones = [1] * len(chosen)
    return _between(functools.partial(_set, chosen, ones), functools.partial(_set, chosen, before))


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
            held = library.num_threads, weakref.WeakSet()
            _held.setdefault(library.filepath, held)[1].add(guest)
            library.set_num_threads(1)


def _leave(chosen: list[Any], guest: _Guest) -> None:
    with _lock:
        for library in chosen:
            if library.filepath not in _held:
                continue
            before, inside = _held[library.filepath]
            inside.discard(guest)
            if not inside:
                library.set_num_threads(before)
                del _held[library.filepath]


def _set(chosen: list[Any], numbers: list[int]) -> None:
    for library, number in zip(chosen, numbers, strict=True):
        library.set_num_threads(number)


@functools.cache
def _chosen(*libraries: tuple[str, str]) -> list[Any]:
    return ThreadpoolController().select(**dict(libraries)).lib_controllers
