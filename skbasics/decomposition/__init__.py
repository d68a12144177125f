"""Linear maps of tables to a few components."""

from skbasics.decomposition._correspondence import CorrespondenceAnalysis
from skbasics.decomposition._fastica import FastICA

__all__ = ["CorrespondenceAnalysis", "FastICA"]
