"""Posteriors by optimisation, and the divergences that it minimises."""

from skbasics.variational._divergence import (
    gaussian_kl,
    jeffreys,
    jensen_shannon,
    kl_divergence,
)
from skbasics.variational._mixture import VariationalGaussianMixture

__all__ = [
    "VariationalGaussianMixture",
    "gaussian_kl",
    "jeffreys",
    "jensen_shannon",
    "kl_divergence",
]
