"""Maps of points that keep neighbours together."""

from skbasics.manifold._parametric import ParametricUMAP
from skbasics.manifold._umap import UMAP

__all__ = ["UMAP", "ParametricUMAP"]
