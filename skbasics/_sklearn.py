"""The only door to scikit-learn's private helpers.

What scikit-learn may rename between releases is imported here and nowhere else, so that a
rename costs one line.
"""

from sklearn.base import _fit_context as fit_context
from sklearn.decomposition._pca import _infer_dimension as infer_dimension
from sklearn.utils import _safe_indexing as safe_indexing
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
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import validate_data

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # the callback protocol is experimental and may move

    class CallbackSupportMixin:
        """Stand-in for a scikit-learn without callbacks: there are none to call."""

    def with_callbacks(method):
        """Return `method` as it is."""
        return method


__all__ = [
    "CallbackSupportMixin",
    "Hidden",
    "Interval",
    "Options",
    "RealNotInt",
    "StrOptions",
    "check_matplotlib_support",
    "check_method_params",
    "check_same_namespace",
    "check_sample_weight",
    "fit_context",
    "get_namespace_and_device",
    "infer_dimension",
    "move_to",
    "routing_enabled",
    "safe_indexing",
    "safe_split",
    "validate_data",
    "validate_parameter_constraints",
    "with_callbacks",
]
