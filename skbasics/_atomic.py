"""Methods that either succeed or change nothing."""

import functools
from collections.abc import Callable, Collection
from typing import Any

import torch

from skbasics._collective import active_group
from skbasics._sklearn import fit_context, with_callbacks


def atomic(method: Callable) -> Callable:
    """Decorate a method that changes its object: if it fails, its object is as before."""

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = vars(self).copy()
        record = before.get("_history", {})  # the only thing that grows in place
        lengths = {name: len(values) for name, values in record.items()}
        try:
            return method(self, *args, **kwargs)
        except BaseException as error:
            restore(self, before)
            _cut_back(record, lengths)
            if _is_of_memory(error):
                raise MemoryError(str(error)) from error
            raise

    return guarded


def _is_of_memory(error: BaseException) -> bool:
    """Whether an error is torch's of memory that is short, which is named so on GPUs alone."""
    on_cpu = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    return on_cpu or isinstance(error, torch.OutOfMemoryError)


def restore(target: Any, attributes: dict[str, Any]) -> None:
    """Give an object the attributes that it had before, and no others."""
    vars(target).clear()
    vars(target).update(attributes)


def _cut_back(record: dict[str, list], lengths: dict[str, int]) -> None:
    for name in list(record):
        if name in lengths:
            del record[name][lengths[name] :]
        else:
            del record[name]


def forget(estimator: Any, private: Collection[str]) -> None:
    """Drop what an earlier fit learned: attributes named ``..._``, and some private ones."""
    for name in list(vars(estimator)):
        if name in private or (name.endswith("_") and not name.startswith("_")):
            delattr(estimator, name)


def training_method(method: Callable) -> Callable:
    """Decorate `fit` and `partial_fit`: parameters checked, callbacks torn down, no trace left.

    If the method fails or is interrupted, the estimator is as it was before. Inside of a group it
    is refused where the ranks cannot train together.
    """
    checked = fit_context(prefer_skip_nested_validation=True)(method)
    return atomic(with_callbacks(_in_step(checked)))


def _in_step(method: Callable) -> Callable:
    """Decorate a method that learns: in a group of ranks all of them do the same, or none."""

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        group = active_group()
        if group is None:
            return method(self, *args, **kwargs)
        with group.fitting():
            if not getattr(self, "_data_parallel", False) or method.__name__ != "fit":
                raise NotImplementedError(
                    f"{type(self).__name__}.{method.__name__} cannot be data-parallel: only `fit` "
                    "of MLPs, convolutional networks and autoencoders can. Call it outside of the "
                    "data_parallel context, where it learns from this rank's rows alone."
                )
            return method(self, *args, **kwargs)

    return guarded
