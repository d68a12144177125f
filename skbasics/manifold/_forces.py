r"""What draws places together and what drives them apart.

The layout minimises the cross-entropy between the fuzzy graph, with edges p, and the one of
the places, with edges

.. math:: q_{ij} = \frac{1}{1 + a \|y_i - y_j\|^{2b}}.
"""

import math
from typing import NamedTuple, Self

import numpy as np
import torch
from scipy.optimize import curve_fit
from torch import Tensor

NEAR = 1e-3
"""Added to the squared distance of what repels, so that the force is finite at zero."""

LONGEST = 4.0
"""What a coordinate of one force is cut to, as in umap-learn."""


class Forces(NamedTuple):
    r"""The curve of q, and how strong the repulsion is.

    Attributes
    ----------
    a, b : float
    repulsion : float
        :math:`\gamma`, the weight of what is no edge.
    n_negatives : int
        Rows drawn for each edge drawn, to be repelled by.
    """

    a: float
    b: float
    repulsion: float
    n_negatives: int

    @classmethod
    def of(cls, asked: object) -> Self:
        """Return the forces that an estimator's parameters ask for.

        Raises
        ------
        ValueError
            If the parameters do not go together.
        """
        a, b = getattr(asked, "a", None), getattr(asked, "b", None)
        if (a is None) != (b is None):
            raise ValueError(
                f"a={a!r} and b={b!r} are one curve: give both, or neither, and min_dist and "
                "spread decide."
            )
        if a is None:
            a, b = fitted_curve(asked.spread, asked.min_dist)
        return cls(a, b, float(asked.repulsion_strength), int(asked.negative_sample_rate))

    def odds(self, square: Tensor) -> Tensor:
        r"""Return :math:`\log (1 - q) / q = \log a\,d^{2b}` by squared distances."""
        # Neither pow nor sigmoid: their rounding depends on where threads cut the tensor.
        return square.log().mul_(self.b).add_(math.log(self.a))

    def attraction(self, square: Tensor) -> Tensor:
        r"""Return :math:`\partial \log q / \partial y_i` over :math:`y_i - y_j`.

        .. math:: \frac{-2ab\,d^{2(b-1)}}{1 + a\,d^{2b}} = -2b\,\frac{1 - q}{d^2}
        """
        square = square.clamp(min=torch.finfo(square.dtype).tiny)
        inverse = self.odds(square).neg_().exp_()
        return inverse.add_(1).mul_(square).reciprocal_().mul_(-2 * self.b)

    def rejection(self, square: Tensor) -> Tensor:
        r"""Return :math:`\gamma\,\partial \log (1 - q) / \partial y_i` over :math:`y_i - y_l`.

        .. math:: \frac{2 \gamma b}{\delta^2 (1 + a\,\delta^{2b})} = 2 \gamma b\,\frac{q}{\delta^2},
            \qquad \delta^2 = d^2 + 0.001
        """
        moved = square + NEAR
        slope = self.odds(moved).exp_().add_(1).mul_(moved).reciprocal_()
        return slope.mul_(2 * self.b * self.repulsion)


def fitted_curve(spread: float, min_dist: float) -> tuple[float, float]:
    r"""Return a and b for which q is nearest to the wanted curve of the distance.

    That is one up to `min_dist` and :math:`e^{-(d - \text{min\_dist}) / \text{spread}}` beyond.
    """
    if min_dist > spread:
        raise ValueError(
            f"min_dist={min_dist} is larger than spread={spread}: places cannot be further apart "
            "than they spread. Lower min_dist or raise spread."
        )
    d, flat = np.linspace(0, 3, 300), min_dist / spread  # in units of the spread
    wanted = np.where(d < flat, 1.0, np.exp(-(d - flat)))
    (a, b), _ = curve_fit(lambda d, a, b: 1 / (1 + a * d ** (2 * b)), d, wanted)
    exponent = math.log(a) - 2 * float(b) * math.log(spread)
    if abs(exponent) > 700:
        raise ValueError(
            f"spread={spread:g} is a scale on which distances have no powers. Take one nearer to 1."
        )
    return math.exp(exponent), float(b)
