"""The only door to scikit-learn's private helpers.

What scikit-learn may rename between releases is imported here and nowhere else, so that a
rename costs one line.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import base
from sklearn.base import _fit_context as fit_context
from sklearn.decomposition._pca import _infer_dimension as infer_dimension
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils import check_array as _check_array
from sklearn.utils._array_api import (
    check_same_namespace,
    get_namespace_and_device,
    move_to,
)
from sklearn.utils._metadata_requests import _routing_enabled as routing_enabled
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import (
    Hidden,
    Interval,
    Options,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.metaestimators import _safe_split as safe_split
from sklearn.utils.validation import _check_method_params as check_method_params
from sklearn.utils.validation import _check_sample_weight
from sklearn.utils.validation import validate_data as _validate_data

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # the callback protocol is experimental and may move

    class CallbackSupportMixin:
        """Stand-in for a scikit-learn without callbacks: there are none to call."""

    def with_callbacks(method):
        """Return `method` as it is."""
        return method


def validate_data(estimator: Any, X: Any, y: Any = "no_validation", **options: Any) -> Any:
    """Return X, and y if there is one, as scikit-learn's validation leaves them.

    It would not see a mask, would stumble on tensors that require a gradient, and would keep the
    foreign byte order of a data frame.

    Raises
    ------
    ValueError
        In scikit-learn's words, and if a masked array hides entries.
    """
    given = [plain("X", X), plain("y", y)]
    checked = _validate_data(estimator, *given, **options)
    return tuple(map(_native, checked)) if isinstance(checked, tuple) else _native(checked)


def check_sample_weight(sample_weight: Any, X: Any, **options: Any) -> Any:
    """Return weights of the rows of X as scikit-learn's validation does; refuse a mask."""
    return _native(_check_sample_weight(plain("sample_weight", sample_weight), X, **options))


def check_array(array: Any, input_name: str = "X", **options: Any) -> Any:
    """Return an array as scikit-learn's validation does; refuse a mask."""
    return _check_array(plain(input_name, array), input_name=input_name, **options)


def plain(name: str, array: Any) -> Any:
    """Return an array without a gradient, if neither it nor a row of it hides what is masked.

    Raises
    ------
    ValueError
        If a masked array hides entries.
    """
    in_parts = isinstance(array, (list, tuple))
    parts = [each for each in (array if in_parts else (array,)) if np.ma.isMaskedArray(each)]
    if n_hidden := sum(map(np.ma.count_masked, parts)):
        held = "holds masked arrays" if in_parts else "is a masked array"
        filled = f"np.ma.stack({name})" if in_parts else name
        raise ValueError(
            f"{name} {held} with {n_hidden} hidden entries, which would be taken for data. Leave "
            f"their rows out, or fill them: {filled}.filled(value)."
        )
    return array.detach() if getattr(array, "requires_grad", False) is True else array


def _unmasked(score: Callable) -> Callable:
    """Decorate a method that scores: it would overlook masks of targets and weights."""

    @functools.wraps(score)
    def refusing(self: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        return score(self, X, plain("y", y), plain("sample_weight", sample_weight))

    return refusing


class ClassifierMixin(base.ClassifierMixin):
    """scikit-learn's, but that a score refuses masks."""

    score = _unmasked(base.ClassifierMixin.score)


class RegressorMixin(base.RegressorMixin):
    """scikit-learn's, but that a score refuses masks."""

    score = _unmasked(base.RegressorMixin.score)


def _native(array: Any) -> Any:
    foreign = isinstance(array, np.ndarray) and not array.dtype.isnative
    return array.astype(array.dtype.newbyteorder("=")) if foreign else array


__all__ = [
    "CallbackSupportMixin",
    "ClassifierMixin",
    "Hidden",
    "Interval",
    "Options",
    "RealNotInt",
    "RegressorMixin",
    "StrOptions",
    "check_array",
    "check_matplotlib_support",
    "check_method_params",
    "check_same_namespace",
    "check_sample_weight",
    "fit_context",
    "get_namespace_and_device",
    "infer_dimension",
    "move_to",
    "plain",
    "routing_enabled",
    "safe_indexing",
    "safe_split",
    "validate_data",
    "validate_parameter_constraints",
    "with_callbacks",
]
