"""Feed-forward networks as classifiers and regressors."""

from skbasics.neural_network._mlp import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
