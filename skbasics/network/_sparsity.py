"""What makes codes sparse: prices of activity, a limit on it, and decoders that cannot cheat."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skbasics.network._layer import Layer, PricedLayer, TrainingPass
from skbasics.network._layers import Dense, FunctionModule


class SparsityPrice(PricedLayer):
    """A price of the activations that pass through, unchanged."""

    measured = "sparsity"

    def __init__(self, strength: Sequence[float]) -> None:
        self.strength = strength

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        self._input, self._training = X, training
        self.prices = self.price(X, training)
        return X

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        return X

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> None:
        return None

    def _strengths(self) -> Tensor:
        return self._input.new_tensor(self.strength)


class AbsoluteActivity(SparsityPrice):
    r"""The price :math:`\lambda \sum_j |h_j|` of a row's code."""

    def price(self, X: Tensor, training: TrainingPass) -> Tensor:
        return X.new_tensor(self.strength) * training.mean(X.abs()).sum(1)

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        strength = self._strengths()[:, None, None] * self._training.shares
        return delta.addcmul_(strength, torch.sign(self._input))


class MeanActivity(SparsityPrice):
    r"""The price of units that are on more or less often than wanted.

    .. math:: \lambda \sum_j \mathrm{KL}(\rho \| \hat\rho_j)
        = \lambda \sum_j \rho \log \frac{\rho}{\hat\rho_j}
        + (1 - \rho) \log \frac{1 - \rho}{1 - \hat\rho_j}

    with :math:`\hat\rho_j` the mean activation of unit j over the batch.

    Parameters
    ----------
    strength, target : list of K floats
        :math:`\lambda` and :math:`\rho`.
    """

    def __init__(self, strength: Sequence[float], target: Sequence[float]) -> None:
        super().__init__(strength)
        self.target = target

    def price(self, X: Tensor, training: TrainingPass) -> Tensor:
        rho, rate = self._rates(X, training)
        divergence = rho * torch.log(rho / rate) + (1 - rho) * torch.log((1 - rho) / (1 - rate))
        return X.new_tensor(self.strength) * divergence.sum(1)

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        rho, rate = self._rates(self._input, self._training)
        slope = self._strengths()[:, None] * ((1 - rho) / (1 - rate) - rho / rate)
        return delta.add_(slope[:, None] * self._training.shares)

    def _rates(self, X: Tensor, training: TrainingPass) -> tuple[Tensor, Tensor]:
        # Saturated units would have an infinite price, and a slope of zero times infinity.
        margin = torch.finfo(X.dtype).eps
        rate = training.mean(X).clamp(margin, 1 - margin)
        return X.new_tensor(self.target)[:, None], rate


class LargestUnits(Layer):
    r"""The k largest units of a row, rectified; all others are zero.

    .. math:: h_j = z_j - \min(0, z_{(k+1)}) \text{ for the k largest}

    with :math:`z_{(k+1)}` the largest of the others. Where k units are positive, this is the
    rectifier of the k largest. Where fewer are, the row's threshold is lowered, so that exactly k
    are active in every row and get a gradient. If k is the width, it is the plain rectifier.
    """

    def __init__(self, k: int) -> None:
        self.k = k

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        out, self._places, self._active, self._lowered = _largest(self.k, X)
        return out

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        kept = delta.gather(-1, self._places[..., : self.k]).mul_(self._active)
        back = torch.zeros_like(delta).scatter_(-1, self._places[..., : self.k], kept)
        if self._lowered is not None:
            moved = kept.sum(-1, keepdim=True).mul_(self._lowered).neg_()
            back.scatter_(-1, self._places[..., self.k :], moved)
        return back

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        return _code(self.k, X)

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        return FunctionModule(functools.partial(_code, self.k))


def _code(k: int, X: Tensor) -> Tensor:
    return _largest(k, X)[0]


def _largest(k: int, X: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return the code, the places of the largest, which are on, and whose threshold fell."""
    values, places = torch.topk(X, min(k + 1, X.shape[-1]), dim=-1)
    kept, lowered = values[..., :k], None
    if k < X.shape[-1]:
        threshold = values[..., k:]
        kept = kept - threshold.clamp(max=0)
        lowered = (threshold < 0).to(X.dtype)
    kept = torch.relu(kept)
    out = torch.zeros_like(X).scatter(-1, places[..., :k], kept)
    return out, places, (kept > 0).to(X.dtype), lowered


class UnitColumns(Dense):
    r"""An affine map whose weights have columns of length one, :math:`W_{:j} = V_{:j}/\|V_{:j}\|`.

    A decoder that starts so cannot make up for small codes with long columns, by which a price of
    the codes would be evaded. V does not decay: its length means nothing.
    """

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__(fan_in, fan_out)
        weight, bias = self.parameter_shapes
        self.parameter_shapes = (type(weight)(weight.name, weight.shape), bias)

    def bind(
        self, parameters: list[Tensor], gradients: list[Tensor], statistics: list[Tensor]
    ) -> None:
        self._raw, self._raw_gradient = parameters[0], gradients[0]
        scaled = [torch.empty_like(self._raw), parameters[1]]
        super().bind(scaled, [torch.empty_like(self._raw), gradients[1]], statistics)

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        self._lengths = _lengths(self._raw)
        torch.div(self._raw, self._lengths, out=self.parameters[0])
        return super().forward(X, training)

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        back = super().backward(delta, input_needed)
        unit, gradient = self.parameters[0], self.gradients[0]
        along = (unit * gradient).sum(1, keepdim=True)
        torch.addcmul(gradient, unit, along, value=-1, out=self._raw_gradient)
        self._raw_gradient.div_(self._lengths)
        return back

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        return super().apply([self.in_use("coef", parameters[0]), parameters[1]], statistics, X)

    def in_use(self, name: str, values: Tensor) -> Tensor:
        return values / _lengths(values) if name == "coef" else values

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> nn.Module:
        weight, bias = parameters
        return super().to_module([self.in_use("coef", weight[None])[0], bias], statistics)


def _lengths(weight: Tensor) -> Tensor:
    """Return the lengths of columns, ``(K, 1, fan_in)``; of none at all, one."""
    lengths = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
    return torch.where(lengths > 0, lengths, 1)
