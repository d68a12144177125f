"""Many fits at once: searches, cross-validation, experiments with other training sets."""

from skbasics.model_selection._bias_variance import bias_variance_decomposition
from skbasics.model_selection._curve import bias_variance_curve
from skbasics.model_selection._result import BiasVariance, BiasVarianceCurve
from skbasics.model_selection._search import GridSearchCV, RandomizedSearchCV
from skbasics.model_selection._validation import cross_val_score, cross_validate

__all__ = [
    "BiasVariance",
    "BiasVarianceCurve",
    "GridSearchCV",
    "RandomizedSearchCV",
    "bias_variance_curve",
    "bias_variance_decomposition",
    "cross_val_score",
    "cross_validate",
]
