"""Linear maps of tables to a few components."""

from skbasics.decomposition._correspondence import CorrespondenceAnalysis

__all__ = ["CorrespondenceAnalysis"]
