"""Autoencoders: undercomplete, sparse and variational."""

from skbasics.autoencoder._autoencoder import Autoencoder
from skbasics.autoencoder._sparse import SparseAutoencoder
from skbasics.autoencoder._vae import VAETransformer

__all__ = ["Autoencoder", "SparseAutoencoder", "VAETransformer"]
