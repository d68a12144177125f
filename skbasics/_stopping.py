"""When a run ends, and what it is validated on."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from skbasics._training import Rows


@dataclass
class Validation:
    """Rows held out of training, and how to score the network on them.

    Attributes
    ----------
    rows : Rows
    measure : callable
        Maps parameters, theta and statistics, to the loss on these rows and the score; a higher
        score is better.
    """

    rows: Rows
    measure: Callable[[tuple[Tensor, Tensor]], tuple[float, float]]


@dataclass
class Stopping:
    """When a run ends, as the estimator's parameters say.

    Attributes
    ----------
    max_iter : int
    tol, n_iter_no_change : float
        Patience: epochs without an improvement of `tol`.
    early_stopping : bool
        Whether the validation score decides and the best epoch is restored.
    stream : bool
        Whether this is one pass of a stream, which ends by itself.
    """

    max_iter: int
    tol: float
    n_iter_no_change: float
    early_stopping: bool
    stream: bool

    @property
    def by_score(self) -> bool:
        """Whether patience looks at the validation score, and not at the training loss."""
        return self.early_stopping and not self.stream
