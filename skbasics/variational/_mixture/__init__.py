"""Mixtures of Gaussians: models, sweeps over rows, coordinate ascent, the estimator."""
