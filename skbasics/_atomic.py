"""Methods that either succeed or change nothing."""

import functools
from collections.abc import Callable, Collection
from typing import Any

from skbasics._sklearn import fit_context, with_callbacks


def atomic(method: Callable) -> Callable:
    """Decorate a method that learns: if it fails or is interrupted, its object is as before."""

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = vars(self).copy()
        try:
            return method(self, *args, **kwargs)
        except BaseException as error:
            restore(self, before)
            if isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error):
                raise MemoryError(str(error)) from error  # torch knows no better name for it
            raise

    return guarded


def restore(target: Any, attributes: dict[str, Any]) -> None:
    """Give an object the attributes that it had before, and no others."""
    vars(target).clear()
    vars(target).update(attributes)


def forget(estimator: Any, private: Collection[str]) -> None:
    """Drop what an earlier fit learned: attributes named ``..._``, and some private ones."""
    for name in list(vars(estimator)):
        if name in private or (name.endswith("_") and not name.startswith("_")):
            delattr(estimator, name)


def training_method(method: Callable) -> Callable:
    """Decorate `fit` and `partial_fit`: parameters checked, callbacks torn down, no trace left.

    If the method fails or is interrupted, the estimator is as it was before.
    """
    return atomic(with_callbacks(fit_context(prefer_skip_nested_validation=True)(method)))
