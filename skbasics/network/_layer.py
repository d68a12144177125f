r"""What every layer of a stack of K networks is.

Every tensor carries the replica axis first: data are ``(K, batch, width)``, a weight matrix
is ``(K, fan_out, fan_in)``. A layer knows two ways to compute the same function:

- ``forward`` and ``backward``, the fast pair of training. They write into buffers that live
  as long as the layer, and into the gradient that `bind` gave them, outside autograd.
- ``apply``, the pure twin: a function of the parameters it is given. Prediction uses it,
  autograd goes through it, and the tests hold the fast pair against it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from skbasics._arrays import SEED_BOUND
from skbasics._shards import Part


@dataclass(frozen=True)
class ParameterShape:
    """What a layer asks the network to keep for it: a weight, a bias, a running mean."""

    name: str
    shape: tuple[int, ...]
    decays: bool = False
    start: float = 0.0


@dataclass
class TrainingPass:
    """What a layer must know of the batch in hand.

    Attributes
    ----------
    weights : Tensor of shape (K, batch, 1) or None
        The weights of the rows; None means that every row counts once.
    sizes : list of int or None
        How many leading rows of the batch are replica k's; the rest is padding of weight
        zero. None means all of them.
    shares : Tensor of shape (K, batch, 1) or float
        The weights of the rows, summing to one.
    keys : Tensor of shape (K, batch, 1) or None
        Whole numbers by which rows are known, wherever they stand.
    part : Part or None
        What of the batch is here, where other ranks have the rest; None means all of it.
    """

    weights: Tensor | None = None
    sizes: Sequence[int] | None = None
    shares: Tensor | float = 1.0
    keys: Tensor | None = None
    part: Part | None = None

    def mean(self, values: Tensor) -> Tensor:
        """Return the weighted mean over the rows, ``(K, width)``, of values a row."""
        return self.sums((values * self.shares).sum(1))[0]

    def sums(self, *sums: Tensor) -> Sequence[Tensor]:
        """Return sums over the rows of the batch, of sums over those that are here."""
        return sums if self.part is None else self.part.group.sums(*sums)

    def whole_shape(self, X: Tensor) -> tuple[int, ...]:
        """Return the shape that a batch like X has with all its rows."""
        if self.part is None:
            return tuple(X.shape)
        return X.shape[0], self.part.n_rows, *X.shape[2:]

    def own(self, values: Tensor) -> Tensor:
        """Return what is here of values ``(K, batch, ...)`` of all rows of the batch."""
        return values if self.part is None else self.part.own(values)


N_BUFFERS = 4
"""Shapes that are kept: batches are of two, but their parts on one of several ranks of many."""


class Buffers:
    """Tensors that are written again in every step, one for each of the last shapes."""

    def __init__(self) -> None:
        self._tensors: dict[tuple, Tensor] = {}

    def get(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return the buffer of this shape, in the dtype and on the device of `like`."""
        if shape not in self._tensors:
            if len(self._tensors) == N_BUFFERS:
                del self._tensors[next(iter(self._tensors))]
            same = shape == like.shape  # then in its order of axes too
            self._tensors[shape] = torch.empty_like(like) if same else like.new_empty(shape)
        return self._tensors[shape]


class Layer(ABC):
    """A function with parameters, on ``(K, batch, ...)`` tensors.

    ``n_units`` is how many numbers of a row it makes anew; zero for what works on its input.
    """

    parameter_shapes: tuple[ParameterShape, ...] = ()
    statistic_shapes: tuple[ParameterShape, ...] = ()
    n_units: int = 0

    def bind(
        self, parameters: list[Tensor], gradients: list[Tensor], statistics: list[Tensor]
    ) -> None:
        """Take the views ``(K, *shape)`` into which the layer reads and writes from now on."""
        self.parameters, self.gradients, self.statistics = parameters, gradients, statistics

    def in_use(self, name: str, values: Tensor) -> Tensor:
        """Return a parameter as the layer uses it, by the name and the values it is kept as."""
        return values

    @abstractmethod
    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        """Compute the output in training mode and keep what `backward` needs."""

    @abstractmethod
    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        """Turn the gradient of the output into that of the input, and fill `gradients`.

        `delta` may be overwritten. The result is None unless `input_needed`.
        """

    @abstractmethod
    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        """Compute the output as a pure function; ``training=None`` is prediction."""

    @abstractmethod
    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module | None:
        """Return the layer of one replica as a plain torch module; None where it needs none."""


class RandomLayer(Layer):
    """A layer that draws in training, for each replica from a generator of its own.

    It draws for a replica's own rows alone, and so what it would draw in a fit alone.
    """

    generators: Sequence[torch.Generator] = ()

    def draws(self, replica: int) -> bool:
        """Whether anything is random in a replica."""
        return True

    def seed(self, random_states: Sequence[np.random.RandomState], device: torch.device) -> None:
        """Give each replica a generator that is started by a draw from its own."""
        seeds = [
            state.randint(SEED_BOUND) if self.draws(k) else 0
            for k, state in enumerate(random_states)
        ]
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]


class PricedLayer(Layer):
    """A layer that adds to what is minimised a price of its input, beside the network's loss.

    ``forward`` leaves the K prices in `prices`, and in `measures` the K numbers by which an epoch
    is recorded under `measured`; ``backward`` adds the gradient of the prices. `ages` are the
    epochs that each replica has behind it; None where nobody counts.
    """

    measured: str = ""
    ages: Sequence[int] | None = None
    prices: Tensor

    @abstractmethod
    def price(self, X: Tensor, training: TrainingPass) -> Tensor:
        """Return the K prices as a pure function of the input."""

    def go_downhill(self) -> None:
        """Pass the derivative of the price back from now on, also where training does better."""

    @property
    def measures(self) -> Tensor:
        """What is recorded; the prices, unless they are only part of it."""
        return self.prices
