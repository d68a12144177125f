"""Searches and cross-validation, whose networks are trained side by side."""

from skbasics.model_selection._search import GridSearchCV, RandomizedSearchCV
from skbasics.model_selection._validation import cross_val_score, cross_validate

__all__ = ["GridSearchCV", "RandomizedSearchCV", "cross_val_score", "cross_validate"]
