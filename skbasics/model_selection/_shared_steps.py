"""Preprocessing that candidates agree on, fitted once for each fold."""

import copy
import functools
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import numpy as np

from skbasics._fingerprint import Datasets, UnkeyedError, frozen, token

SAID_ONLY = ("message", "message_clsname")
"""Arguments of a step that are printed and change nothing."""


class SharedSteps:
    """The `memory` of the pipelines of one search: what was fitted on the same rows before.

    It does for a ``Pipeline`` what a ``joblib.Memory`` does, in the process and without copying:
    a step of the same class and parameters, on the same rows and targets, is fitted once. The
    transformed rows are one object for all who ask, so that the fits that follow are seen to be
    on the same data; they cannot be written to. Fitted steps are given out as copies.

    Parameters
    ----------
    datasets : Datasets
        Where rows and targets are numbered.
    """

    def __init__(self, datasets: Datasets) -> None:
        self._datasets = datasets
        self._done: dict[Hashable, tuple[Any, Any]] = {}

    # One of a kind: clones of a pipeline share it, and it is no part of what they are.

    def __deepcopy__(self, memo: dict) -> "SharedSteps":
        return self

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> tuple:
        return _no_memory, ()  # in another process there is nothing to share

    def cache(self, func: Callable, ignore: Iterable[str] = (), **options: Any) -> Callable:
        """Return `func`, which fits and applies a step, remembering what it returned.

        Parameters
        ----------
        func : callable
            Maps a transformer, X, y and more to transformed rows and the fitted transformer.
        ignore : iterable of str
            Arguments that do not matter.
        **options : dict
            Other options of ``joblib.Memory.cache``, without meaning here.
        """
        return functools.partial(self._call, func, {*ignore, *SAID_ONLY})

    def clear(self) -> None:
        """Forget everything."""
        self._done.clear()

    def _call(
        self, func: Callable, ignore: set[str], step: Any, X: Any, y: Any, *args: Any, **more: Any
    ) -> tuple[Any, Any]:
        counted = {name: value for name, value in more.items() if name not in ignore}
        try:
            data = self._datasets.numbers((X, y), learn=True)
            key = func, token(step), data, token((args, counted))
        except UnkeyedError:
            return func(step, _own(X), y, *args, **more)
        if key not in self._done:
            transformed, fitted = func(step, _own(X), y, *args, **more)
            self._done[key] = frozen(transformed), fitted
        transformed, fitted = self._done[key]
        return transformed, copy.deepcopy(fitted)


def _no_memory() -> None:
    """Return what a pipeline without a memory has."""


def _own(X: Any) -> Any:
    """Return rows that a step may write to without another fit's rows being changed."""
    if isinstance(X, np.ndarray):
        return X if X.flags.writeable else X.copy()
    return X.copy() if hasattr(X, "copy") else X
