"""When two fits are the same fit: what estimators and data are, as something to look up by."""

from collections import defaultdict
from collections.abc import Hashable
from types import BuiltinFunctionType, FunctionType
from typing import Any

import joblib
import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator

ATOMS = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type,
    FunctionType,
    BuiltinFunctionType,
    np.generic,
    np.ufunc,
)
PASSING = ("_parent_callback_ctx",)
"""Attributes that say where an estimator is being fitted, not what it is."""
SAMPLED = 64
"""Elements of an array that tell it from others before it is compared in full."""


class UnkeyedError(Exception):
    """Something cannot be looked up, because it cannot be compared by what it is."""


def token(value: Any, hole: Any = None) -> Hashable:
    """Return something hashable that is equal for equal values, and stays when they change.

    Parameters
    ----------
    value : object
        Estimators count by all their attributes, arrays and generators by their content,
        functions by identity.
    hole : object or None
        Where `value` contains this very object, it does not matter what it is.

    Raises
    ------
    UnkeyedError
        If there is nothing to compare it by.
    """
    kind = type(value)
    if hole is not None and value is hole:
        return "hole"
    if isinstance(value, ATOMS):
        return kind, value
    if isinstance(value, (list, tuple)):
        return kind, tuple(token(part, hole) for part in value)
    if isinstance(value, dict):
        return kind, tuple((token(key, hole), token(part, hole)) for key, part in value.items())
    if isinstance(value, np.random.RandomState):
        return kind, joblib.hash(value.get_state())
    if isinstance(value, BaseEstimator):
        state = {name: part for name, part in vars(value).items() if name not in PASSING}
        return kind, token(state, hole)
    try:
        if kind.__hash__ not in (None, object.__hash__):
            hash(value)
            return kind, value
        return kind, joblib.hash(value)
    except Exception as error:  # pickling runs code of others, which raises what it likes
        raise UnkeyedError(f"{kind.__name__} has no fingerprint: {error}") from error


def settings(estimator: Any) -> Hashable:
    """Return what decides how an estimator is fitted afresh: its class and its parameters.

    Raises
    ------
    UnkeyedError
        If a parameter has no fingerprint.
    """
    return type(estimator), token(estimator.get_params(deep=False))


def frozen(array: Any) -> Any:
    """Return an array that cannot be written to, on the same memory; anything else as it is."""
    if isinstance(array, np.ndarray) and array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


class Datasets:
    """Numbers arrays by what they contain.

    An object that was numbered before is found by its identity. Another one is found by a few
    sampled elements and then compared in full, which takes about as long as reading it once and
    leaves nothing to chance. What is numbered is kept, so that no other object gets its identity.
    """

    def __init__(self) -> None:
        self._number_of_object: dict[int, int] = {}
        self._kept: list[Any] = []
        self._alike: dict[Hashable, list[int]] = defaultdict(list)

    def number(self, array: Any, *, learn: bool = False) -> int | None:
        """Return the number of an array; None if it is new and not to be learned.

        Raises
        ------
        UnkeyedError
            If `array` is something that cannot be compared.
        """
        if id(array) in self._number_of_object:
            return self._number_of_object[id(array)]
        kind, parts = _parts(array)
        for number in self._alike.get(kind, ()):
            known = _parts(self._kept[number])[1]
            if all(_same(one, other) for one, other in zip(parts, known, strict=True)):
                return number
        if not learn:
            return None
        if isinstance(array, np.ndarray) and array.flags.writeable:
            array = frozen(array.copy())  # the caller may change theirs
        number = len(self._kept)
        self._kept.append(array)
        self._number_of_object[id(array)] = number
        self._alike[kind].append(number)
        return number

    def numbers(self, arrays: Any, *, learn: bool = False) -> tuple[int | None, ...] | None:
        """Return the numbers of several; None if one is unknown."""
        found = tuple(self.number(array, learn=learn) for array in arrays)
        return None if None in found else found

    def clear(self) -> None:
        """Forget everything."""
        self.__init__()


def _parts(array: Any) -> tuple[Hashable, list[np.ndarray]]:
    """Return what tells a dataset from most others, and what is left to compare."""
    if isinstance(array, np.ndarray) and array.dtype.kind in "biufcSUmM":
        return _sample(array), [array]
    if sp.issparse(array) and array.format in ("csr", "csc"):
        parts = [array.data, array.indices, array.indptr]
        return (type(array), array.shape, *map(_sample, parts)), parts
    if _is_frame_of_one_dtype(array):  # whose hash would be of its layout in memory too
        kind, parts = _parts(array.to_numpy())
        return (type(array), token(array.columns), token(array.index), kind), parts
    return token(array), []


def _is_frame_of_one_dtype(array: Any) -> bool:
    """Whether something is a data frame of pandas that is one array of NumPy's."""
    if not (hasattr(array, "iloc") and hasattr(array, "columns")):
        return False
    dtypes = set(array.dtypes)
    return len(dtypes) == 1 and isinstance(dtypes.pop(), np.dtype)


def _sample(array: np.ndarray) -> Hashable:
    step = max(1, array.size // SAMPLED)
    return array.dtype.str, array.shape, np.asarray(array.flat[::step]).tobytes()


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays of one shape and dtype are the same bit for bit, NaN and all."""
    if one is other:
        return True
    order = "A" if one.strides == other.strides else "C"
    word = np.uint64 if one.nbytes % 8 == 0 else np.uint8
    return np.array_equal(*(a.ravel(order).view(np.uint8).view(word) for a in (one, other)))
