"""Initial weights as a value."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import ClassVar

from skbasics._sklearn import Interval
from skbasics._values import Value


@dataclass(frozen=True)
class NormalWeights(Value):
    """Weights drawn from a Gaussian around zero, and biases that are given.

    Parameters
    ----------
    scale : float, default=0.01
        The standard deviation of the weights.
    intercepts : float or tuple of float, default=0.0
        The biases, one for all layers that have weights or one for each.

    Examples
    --------
    >>> from skbasics.neural_network import NormalWeights
    >>> NormalWeights(0.02).scale
    0.02
    """

    scale: float = 0.01
    _: KW_ONLY
    intercepts: float | tuple[float, ...] = 0.0

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "scale": [Interval(Real, 0, None, closed="neither")],
        "intercepts": [Real, tuple, list],
    }

    def biases(self, n_layers: int) -> Sequence[float]:
        """Return the bias of each layer."""
        if isinstance(self.intercepts, Real):
            return [float(self.intercepts)] * n_layers
        if len(self.intercepts) != n_layers:
            raise ValueError(
                f"{self}: intercepts must be one number or one for each of the {n_layers} layers "
                f"that have weights, got {len(self.intercepts)} of them."
            )
        return self.intercepts


def resolve_weights(initial_weights: str | NormalWeights) -> NormalWeights:
    """Return the value whose parameters can be set; a name has none."""
    if isinstance(initial_weights, NormalWeights):
        return initial_weights
    raise ValueError(
        f"initial_weights={initial_weights!r} has no parameters. Set it to NormalWeights() first."
    )
