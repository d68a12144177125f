"""Pictures, as scikit-learn's Display objects; matplotlib is imported when one is drawn."""

from skbasics.plots._bias_variance import BiasVarianceDisplay
from skbasics.plots._correspondence import CorrespondenceDisplay
from skbasics.plots._embedding import EmbeddingDisplay
from skbasics.plots._filters import FiltersDisplay
from skbasics.plots._latent_space import LatentSpaceDisplay
from skbasics.plots._loss_curve import LossCurveDisplay
from skbasics.plots._reconstruction import ReconstructionDisplay
from skbasics.plots._trajectory import TrajectoryDisplay

__all__ = [
    "BiasVarianceDisplay",
    "CorrespondenceDisplay",
    "EmbeddingDisplay",
    "FiltersDisplay",
    "LatentSpaceDisplay",
    "LossCurveDisplay",
    "ReconstructionDisplay",
    "TrajectoryDisplay",
]
