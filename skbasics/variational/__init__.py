"""Variational inference, beside exact answers and MCMC, and the divergences that it minimises."""

from skbasics.variational._classification import VariationalClassifier
from skbasics.variational._divergence import (
    gaussian_kl,
    jeffreys,
    jensen_shannon,
    kl_divergence,
)
from skbasics.variational._mixture._mixture import VariationalGaussianMixture
from skbasics.variational._posterior import VariationalPosterior, fit_variational
from skbasics.variational._regression import VariationalRegressor

__all__ = [
    "VariationalClassifier",
    "VariationalGaussianMixture",
    "VariationalPosterior",
    "VariationalRegressor",
    "fit_variational",
    "gaussian_kl",
    "jeffreys",
    "jensen_shannon",
    "kl_divergence",
]
