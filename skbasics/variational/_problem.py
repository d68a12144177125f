"""What a fit is given, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from skbasics._arrays import Border
from skbasics.network import Architecture, Loss


@dataclass
class Problem:
    """Validated data as tensors, and the model for them.

    Attributes
    ----------
    X : Tensor of shape (n, n_features)
        In float64 for a linear model, in its own dtype for a network.
    y : Tensor of shape (n, 1)
        Numbers, or the numbers of classes.
    weights : Tensor of shape (n,) or None
        None counts every row once.
    architecture : Architecture
    loss : Loss
        Minus the log likelihood of a row, or half its squared error.
    independent : bool
        Whether the coordinates of the posterior are made independent.
    random_state : RandomState
    border : Border
        Where X came from.
    """

    X: Tensor
    y: Tensor
    weights: Tensor | None
    architecture: Architecture
    loss: Loss
    independent: bool
    random_state: np.random.RandomState
    border: Border

    @property
    def n(self) -> float:
        """The sum of the weights."""
        return float(len(self.X) if self.weights is None else self.weights.sum())

    def mean_of(self, values: Tensor) -> Tensor:
        """Return the weighted mean of a number, or of several, a row."""
        return values.mean(0) if self.weights is None else self.weights @ values / self.n


@dataclass
class Found:
    """A Gaussian posterior, on the way to the best one.

    Attributes
    ----------
    mean : Tensor of shape (D,)
        Weights, and then biases; those of a linear model are heights at the centre of X.
    scale : Tensor of shape (D,) or (D, D)
        Standard deviations, or a root of the covariance.
    center : Tensor of shape (n_features,)
    elbo : float
    prior_scale : float
    target : Target
        The log density that is approximated.
    noise_scale : float
        One where there is no noise.
    units : (float, float)
        What the outputs of the model are multiplied by, and what is added.
    log_density : callable or None
        The same as `target` for the diagnosis, if it is cheaper; None where nothing is
        approximated.
    done, converged : bool
        Whether the search is over, and with success.
    gain : float
        What the last iteration gained, in nats.
    """

    mean: Tensor
    scale: Tensor
    center: Tensor
    elbo: float
    prior_scale: float
    target: Callable[[Tensor], Tensor]
    log_density: Callable[[Tensor], Tensor] | None
    noise_scale: float = 1.0
    units: tuple[float, float] = (1.0, 0.0)
    done: bool = True
    converged: bool = True
    gain: float = 0.0
