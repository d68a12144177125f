"""Variational inference: distributions fitted to posteriors, beside exact answers and MCMC."""

from skbasics.variational._posterior import VariationalPosterior, fit_variational

__all__ = ["VariationalPosterior", "fit_variational"]
