"""Maps of points that keep neighbours together."""

from skbasics.manifold._umap import UMAP

__all__ = ["UMAP"]
