"""Linear maps of data to a few components."""

from skbasics.decomposition._pca import PCA

__all__ = ["PCA"]
