"""The structure of an autoencoder: an encoder, what its code is, and the encoder's mirror image."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from torch import Tensor

from skbasics._fitted import dropped, without
from skbasics.network import (
    AbsoluteActivity,
    Architecture,
    Dense,
    FillMissing,
    GaussianLatent,
    LargestUnits,
    Layer,
    MeanActivity,
    NoiseScale,
    ReconstructionObjective,
    UnitColumns,
    activation_layer,
    feed_forward,
)


class Code(ABC):
    """What an autoencoder does between its encoder and its decoder, and around the two."""

    @property
    def warmup(self) -> int:
        """Epochs for which what is minimised still changes."""
        return 0

    @property
    def columns(self) -> type[Dense]:
        """What takes the code into the decoder."""
        return Dense

    def n_outputs(self, n_components: int) -> int:
        """Return how many numbers the encoder computes for a code of so many."""
        return n_components

    @abstractmethod
    def layers(self, n_components: int, stack: Sequence[Self]) -> list[Layer]:
        """Return the layers that make codes of the encoder's output, for a stack of replicas."""

    def before(self, n_features: int, stack: Sequence[Self]) -> list[Layer]:
        """Return the layers before the encoder."""
        return []

    def after(self) -> list[Layer]:
        """Return the layers after the decoder."""
        return []

    def common(self) -> Self:
        """Return what the codes of a stack have in common."""
        return self

    def fixed(self) -> dict[str, Any]:
        """Return what must stay while a fit is continued, by parameter."""
        return {}

    def strengths(self) -> str:
        """Return what decides the size of its price, in words."""
        return ""


@dataclass(frozen=True)
class LinearCode(Code):
    """The code is what the encoder computes."""

    def layers(self, n_components: int, stack: Sequence[Self]) -> list[Layer]:
        """Return none."""
        return []


@dataclass(frozen=True)
class SparseCode(Code):
    """Few units are active at a time.

    Attributes
    ----------
    sparsity : str
        "kl", "l1" or "topk".
    weight, target : float
        Strength of the price, and for "kl" the mean activation that is free of it.
    n_active : int or None
        For "topk".
    """

    sparsity: str
    weight: float
    target: float
    n_active: int | None

    @property
    def columns(self) -> type[Dense]:
        """What takes the code into the decoder; a price by size needs columns of one length."""
        return UnitColumns if self.sparsity == "l1" else Dense

    def layers(self, n_components: int, stack: Sequence[Self]) -> list[Layer]:
        """Return the activation, and what keeps it sparse."""
        if self.sparsity == "topk":
            return [LargestUnits(self.n_active)]
        strengths = [code.weight for code in stack]
        if self.sparsity == "l1":
            return [activation_layer("relu"), AbsoluteActivity(strengths)]
        targets = [code.target for code in stack]
        return [activation_layer("logistic"), MeanActivity(strengths, targets)]

    def common(self) -> Self:
        """Return what the codes of a stack have in common."""
        return replace(self, weight=0.0, target=0.0)

    def fixed(self) -> dict[str, Any]:
        """Return what must stay while a fit is continued, by parameter."""
        return {"sparsity": self.sparsity, "n_active": self.n_active}

    def strengths(self) -> str:
        """Return what decides the size of its price, in words."""
        return f"{self.sparsity} of {self.weight} and {self.target}"


@dataclass(frozen=True)
class GaussianCode(Code):
    """A Gaussian a row, of which training takes a draw and prediction the mean.

    Attributes
    ----------
    beta, free_bits : float
    kl_warmup : int
        Epochs in which the price of the divergence rises to beta.
    learns_noise : bool
        Whether the scale of the observations' noise is a parameter.
    missing : bool
        Whether the rows of training have missing values.
    """

    beta: float
    free_bits: float
    kl_warmup: int
    learns_noise: bool
    missing: bool

    @property
    def warmup(self) -> int:
        """The epochs of that."""
        return self.kl_warmup

    def n_outputs(self, n_components: int) -> int:
        """Return two a component: means and log variances."""
        return 2 * n_components

    def layers(self, n_components: int, stack: Sequence[Self]) -> list[Layer]:
        """Return the draw."""
        numbers = zip(*((code.beta, code.free_bits, code.kl_warmup) for code in stack), strict=True)
        return [GaussianLatent(n_components, *(numbers if stack else ([], [], [])))]

    def before(self, n_features: int, stack: Sequence[Self]) -> list[Layer]:
        """Return what completes rows."""
        return [FillMissing(n_features, any(code.missing for code in stack))]

    def after(self) -> list[Layer]:
        """Return what learns the noise."""
        return [NoiseScale()] if self.learns_noise else []

    def common(self) -> Self:
        """Return what the codes of a stack have in common."""
        return replace(self, beta=0.0, free_bits=0.0, kl_warmup=0, missing=False)

    def fixed(self) -> dict[str, Any]:
        """Return what must stay while a fit is continued, by parameter."""
        return {"noise_scale": "learned" if self.learns_noise else "given"}

    def strengths(self) -> str:
        """Return what decides the size of its price, in words."""
        return f"kl of {self.beta} and {self.free_bits}"


class AutoencoderNetwork(NamedTuple):
    """The structure of an autoencoder's network.

    Attributes
    ----------
    hidden_layer_sizes : tuple of int
        Of the encoder; the decoder has them in reverse.
    dropout : tuple of float
        The drop probability of each hidden layer of the encoder, and of its mirror image.
    code : Code
    """

    n_features: int
    hidden_layer_sizes: tuple[int, ...]
    n_components: int
    activation: str | Callable
    batch_norm: bool
    dropout: tuple[float, ...]
    code: Code
    objective = ReconstructionObjective

    @property
    def warmup(self) -> int:
        """Epochs for which what is minimised still changes."""
        return self.code.warmup

    @property
    def n_hidden(self) -> int:
        """Hidden layers: those of encoder and decoder, and the code."""
        return 2 * len(self.hidden_layer_sizes) + 1

    @property
    def n_layers(self) -> int:
        """Layers, input and output included."""
        return self.n_hidden + 2

    @property
    def n_encoder(self) -> int:
        """How many leading layers of the architecture make the code."""
        return len(self._encoder(()))

    @property
    def n_plain_encoder(self) -> int:
        """How many leading layers of `plain` do so: dropout is among them."""
        return len(self._encoder([self]))

    def architecture(self, stack: Sequence["AutoencoderNetwork"] = ()) -> Architecture:
        """Return the layers that train a stack of such structures; for prediction, of none."""
        return Architecture([*self._encoder(stack), *self._decoder(stack)])

    def bare(self) -> "AutoencoderNetwork":
        """Return what prediction needs of it."""
        return self._replace(dropout=(), code=self.code.common())

    common = bare

    def fixed(self) -> dict[str, Any]:
        """Return what must stay while a fit is continued, by parameter."""
        return without(self._asdict(), "dropout", "code") | self.code.fixed()

    def strengths(self) -> str:
        """Return what decides the size of the code's price, in words."""
        return self.code.strengths()

    def plain(self) -> Architecture:
        """Return the layers of one network."""
        return self.architecture([self])

    def up_to(self, layer: int) -> tuple[Architecture, int]:
        """Return layers whose first so and so many compute a hidden layer."""
        bare, n_hidden = self.bare(), len(self.hidden_layer_sizes)
        layers_each = 3 if self.batch_norm else 2
        if layer < n_hidden:
            n_layers = len(self.code.before(self.n_features, ())) + layers_each * (layer + 1)
        else:
            n_layers = self.n_encoder + layers_each * (layer - n_hidden)
        return bare.architecture(), n_layers

    def arranged(self, features: Tensor) -> Tensor:
        """Return the features as they are."""
        return features

    def _encoder(self, stack: Sequence["AutoencoderNetwork"]) -> list[Layer]:
        codes = [structure.code for structure in stack]
        return [
            *self.code.before(self.n_features, codes),
            *feed_forward(
                self.n_features,
                self.hidden_layer_sizes,
                self.code.n_outputs(self.n_components),
                activation=self.activation,
                batch_norm=self.batch_norm,
                dropout=dropped(stack),
            ).layers,
            *self.code.layers(self.n_components, codes),
        ]

    def _decoder(self, stack: Sequence["AutoencoderNetwork"]) -> list[Layer]:
        first, *others = feed_forward(
            self.n_components,
            self.hidden_layer_sizes[::-1],
            self.n_features,
            activation=self.activation,
            batch_norm=self.batch_norm,
            dropout=dropped(stack)[::-1],
        ).layers
        first = self.code.columns(first.fan_in, first.fan_out)
        return [first, *others, *self.code.after()]
