"""Posteriors by optimisation, and the divergences that it minimises."""

from skbasics.variational._divergence import (
    gaussian_kl,
    jeffreys,
    jensen_shannon,
    kl_divergence,
)

__all__ = [
    "gaussian_kl",
    "jeffreys",
    "jensen_shannon",
    "kl_divergence",
]
