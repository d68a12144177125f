"""The structure of a map that is a network, with a decoder or without."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from skbasics._fitted import without
from skbasics.manifold._edges import EdgeObjective, EdgePrice
from skbasics.manifold._forces import Forces
from skbasics.network import Architecture, Layer, feed_forward


class MapNetwork(NamedTuple):
    """The structure of a parametric map.

    Attributes
    ----------
    hidden_layer_sizes : tuple of int
        Of the encoder; a decoder has them in reverse.
    decoder : bool
    forces : Forces
    edges : Edges or None
        What it is trained on; None for prediction.
    """

    n_features: int
    hidden_layer_sizes: tuple[int, ...]
    n_components: int
    activation: str | Callable
    decoder: bool
    forces: Forces
    edges: Any
    batch_norm = False
    dropout = ()
    objective = EdgeObjective
    warmup = 0

    @property
    def n_hidden(self) -> int:
        """Hidden layers; with a decoder, its own and the code too."""
        n_hidden = len(self.hidden_layer_sizes)
        return 2 * n_hidden + 1 if self.decoder else n_hidden

    @property
    def n_layers(self) -> int:
        """Layers, input and output included."""
        return self.n_hidden + 2

    @property
    def n_encoder(self) -> int:
        """How many leading layers of the architecture make the code."""
        return 2 * len(self.hidden_layer_sizes) + 1

    def architecture(self, stack: Sequence["MapNetwork"] = ()) -> Architecture:
        """Return the layers that train a stack of such structures; for prediction, of none."""
        price = EdgePrice(self.forces, [structure.edges for structure in stack])
        return Architecture([*self._encoder(), price, *self._decoder()])

    def bare(self) -> "MapNetwork":
        """Return what prediction needs of it."""
        return self._replace(edges=None)

    common = bare

    def fixed(self) -> dict[str, Any]:
        """Return what must stay while a fit is continued, by parameter."""
        return without(self._asdict(), "forces", "edges")

    def strengths(self) -> str:
        """Return what decides the size of its price, in words."""
        return f"edges by {self.forces}"

    def plain(self) -> Architecture:
        """Return the layers of one network."""
        return self.bare().architecture()

    def up_to(self, layer: int) -> tuple[Architecture, int]:
        """Return layers whose first so and so many compute a hidden layer."""
        n_hidden = len(self.hidden_layer_sizes)
        beyond = self.n_encoder + 1 + 2 * (layer - n_hidden)
        n_layers = 2 * (layer + 1) if layer < n_hidden else beyond
        return self.plain(), n_layers

    def arranged(self, features: Tensor) -> Tensor:
        """Return the features as they are."""
        return features

    def _encoder(self) -> list[Layer]:
        sizes = self.n_features, self.hidden_layer_sizes, self.n_components
        return feed_forward(*sizes, activation=self.activation).layers

    def _decoder(self) -> list[Layer]:
        if not self.decoder:
            return []
        sizes = self.n_components, self.hidden_layer_sizes[::-1], self.n_features
        return feed_forward(*sizes, activation=self.activation).layers
