"""Numbers of threads, lowered for a while without a trace, whoever else computes meanwhile."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_held: dict[str, list[int]] = {}  # how many are inside, and how many threads there were before


@contextmanager
def one_blas_thread(**libraries: str) -> Iterator[None]:
    """Keep products of NumPy and scipy on one thread while anyone is inside.

    The counts belong to the process: the first to enter lowers them, the last to leave restores
    them.

    Parameters
    ----------
    **libraries : str
        Which ones, as threadpoolctl selects them.
    """
    chosen = _chosen(*libraries.items())
    with _lock:
        for library in chosen:
            _enter(library)
    try:
        yield
    finally:
        with _lock:
            for library in chosen:
                _leave(library)


def _enter(library: Any) -> None:
    inside, before = _held.get(library.filepath, (0, 0))
    if inside == 0:
        before = library.num_threads
        library.set_num_threads(1)
    _held[library.filepath] = [inside + 1, before]


def _leave(library: Any) -> None:
    _held[library.filepath][0] -= 1
    inside, before = _held[library.filepath]
    if inside == 0:
        library.set_num_threads(before)


@functools.cache
def _chosen(*libraries: tuple[str, str]) -> list[Any]:
    return ThreadpoolController().select(**dict(libraries)).lib_controllers


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch's loops work by themselves in this thread, and in no other.

    torch's own setting is also that of threads to come. OpenMP's is each thread's own.
    """
    if torch.get_num_threads() == 1:
        yield
        return
    limiter = _openmp().limit(limits=1)
    try:
        yield
    finally:
        limiter.restore_original_limits()


@functools.cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")
