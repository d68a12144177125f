"""Methods that either succeed or change nothing."""

import functools
from collections.abc import Callable
from typing import Any


def atomic(method: Callable) -> Callable:
    """Decorate a method that learns: if it fails or is interrupted, its object is as before."""

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = vars(self).copy()
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return guarded
