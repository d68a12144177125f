"""Variational inference: distributions fitted to posteriors, beside exact answers and MCMC."""

from skbasics.variational._classification import VariationalClassifier
from skbasics.variational._posterior import VariationalPosterior, fit_variational
from skbasics.variational._regression import VariationalRegressor

__all__ = [
    "VariationalClassifier",
    "VariationalPosterior",
    "VariationalRegressor",
    "fit_variational",
]
