r"""What draws places together and what drives them apart.

The layout minimises the cross-entropy between the fuzzy graph, with edges p, and the one of
the places, with edges

.. math:: q_{ij} = \frac{1}{1 + a \|y_i - y_j\|^{2b}}.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import curve_fit
from torch import Tensor

NEAR = 1e-3
"""Added to the squared distance where its inverse is taken."""

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

    def attraction(self, square: Tensor) -> Tensor:
        r"""Return :math:`\partial \log q / \partial y_i` over :math:`y_i - y_j`.

        .. math:: \frac{-2ab\,d^{2(b-1)}}{1 + a\,d^{2b}}
        """
        power = square.pow(self.b).mul_(self.a)
        smallest = torch.finfo(square.dtype).tiny
        slope = power / square.clamp(min=smallest)
        return slope.mul_(-2 * self.b).div_(power.add_(1))

    def rejection(self, square: Tensor) -> Tensor:
        r"""Return :math:`\gamma\,\partial \log (1 - q) / \partial y_i` over :math:`y_i - y_l`.

        .. math:: \frac{2 \gamma b}{(0.001 + d^2)(1 + a\,d^{2b})}
        """
        power = square.pow(self.b).mul_(self.a).add_(1)
        return power.mul_(square + NEAR).reciprocal_().mul_(2 * self.b * self.repulsion)


def fitted_curve(spread: float, min_dist: float) -> tuple[float, float]:
    r"""Return a and b for which q is nearest to the wanted curve of the distance.

    That is one up to `min_dist` and :math:`e^{-(d - \text{min\_dist}) / \text{spread}}` beyond.
    """
    d = np.linspace(0, 3 * spread, 300)
    wanted = np.where(d < min_dist, 1.0, np.exp(-(d - min_dist) / spread))
    (a, b), _ = curve_fit(lambda d, a, b: 1 / (1 + a * d ** (2 * b)), d, wanted)
    return float(a), float(b)
