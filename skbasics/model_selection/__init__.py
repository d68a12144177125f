"""Experiments on estimators: what they would do with other training sets."""

from skbasics.model_selection._bias_variance import bias_variance_decomposition
from skbasics.model_selection._curve import bias_variance_curve
from skbasics.model_selection._result import BiasVariance, BiasVarianceCurve

__all__ = [
    "BiasVariance",
    "BiasVarianceCurve",
    "bias_variance_curve",
    "bias_variance_decomposition",
]
