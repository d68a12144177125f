"""Linear maps of data to a few components."""

from skbasics.decomposition._correspondence import CorrespondenceAnalysis
from skbasics.decomposition._fastica import FastICA
from skbasics.decomposition._pca import PCA

__all__ = ["PCA", "CorrespondenceAnalysis", "FastICA"]
