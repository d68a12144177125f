"""One fit among those that are trained side by side: what it starts from, and its record."""

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from skbasics._arrays import as_tensor
from skbasics._data import Sample
from skbasics._fitted import Structure
from skbasics._shards import of_first_rank
from skbasics._stopping import Stopping, Validation
from skbasics._training import Patience
from skbasics.network import Loss, Network
from skbasics.optim import Optimizer, OptimizerState, Stepwise

HISTORY = (
    "loss",
    "validation_loss",
    "validation_score",
    "learning_rate",
    "gradient_norm",
    "seconds",
)
"""What is recorded of each epoch."""


@dataclass
class Epoch:
    """What an epoch has left of one replica, in the run that trains it.

    Attributes
    ----------
    network : Network
    state : OptimizerState
    row : int
        The replica's place in both.
    loss, learning_rate, gradient_norm, seconds : float
    means : dict of float
        What else the objective recorded.
    """

    network: Network
    state: OptimizerState
    row: int
    loss: float
    learning_rate: float
    gradient_norm: float
    seconds: float
    means: dict[str, float]

    @property
    def parameters(self) -> tuple[Tensor, Tensor]:
        """Theta and the running statistics, ``(1, n)`` each."""
        here = slice(self.row, self.row + 1)
        return self.network.theta[here], self.network.statistics[here]

    @property
    def gradient(self) -> Tensor:
        """The gradient of the last step, ``(P,)``."""
        return self.network.gradient[self.row]


@dataclass
class Replica:
    """One network in training.

    Attributes
    ----------
    name : str
        The estimator's class, for messages.
    structure : Structure
    theta, statistics : Tensor of shape (1, n_parameters) and (1, n_statistics)
        Where it starts, and once it has ended what it came to.
    loss, optimizer, alpha
        What is minimised, and how.
    sample : Sample
    batch_size : int
    shuffle : bool
    random_state : RandomState
    stopping : Stopping
    validation : Validation or None
    past : dict
        What an earlier run exported, to be taken up; empty for a fresh start.
    observer : object or None
        Its ``begin_iteration()`` and ``end_iteration(parameters)`` are called each epoch; the
        latter may stop the run.
    history : dict of list of float
        What was recorded of each epoch.
    n_iter : int
        Epochs made.
    stalled : bool
        Whether patience came to its end.
    best : tuple of Tensor or None
        Theta and statistics of the best validation score.
    order : ndarray or None
        The order of the rows in the last epoch, once it has ended.
    state : dict
        What the optimizer remembers, once it has ended.
    error : Exception or None
        Why it failed.
    """

    name: str
    structure: Structure
    theta: Tensor
    statistics: Tensor
    loss: Loss
    optimizer: Optimizer
    alpha: float
    sample: Sample
    batch_size: int
    shuffle: bool
    random_state: np.random.RandomState
    stopping: Stopping
    validation: Validation | None = None
    past: dict[str, Any] = field(default_factory=dict)
    observer: Any = None
    history: dict[str, list[float]] = field(default_factory=lambda: {key: [] for key in HISTORY})
    n_iter: int = 0
    stalled: bool = False
    best: tuple[Tensor, Tensor] | None = None
    order: np.ndarray | None = None
    state: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None

    @property
    def age(self) -> int:
        """Epochs made, those of earlier runs that this one continues included."""
        return self.past.get("age", 0) + self.n_iter

    def begin(self, state: OptimizerState, row: int, n_batches: int) -> None:
        """Take up patience, and the best parameters so far, where an earlier run left them."""
        alone = n_batches == 1 and not self.stopping.stream
        self._ends_by_gradient = self.optimizer.ends_by_gradient and alone
        if "best" in self.past:
            place = {"device": self.theta.device}
            self.best = tuple(as_tensor(part, **place) for part in self.past["best"])
        limit = state.patience(row) or self.stopping.n_iter_no_change
        if not (isinstance(self.optimizer, Stepwise) or self.stopping.by_score):
            limit = math.inf  # L-BFGS knows by itself when the loss has settled
        self.patience = Patience(self.stopping.tol, limit)
        past = self.past.get("patience", {})
        if past.get("yardstick") != self._yardstick:
            self.best = None
            return
        # A run that was stopped and is started again gets its patience back.
        spent = past["count"] > min(past["n_iter_no_change"], limit)
        self.patience.count = 0 if spent else past["count"]
        self.patience.best = past["best"]
        if self.best is not None:  # the validation rows or the metric may be others now
            self.patience.best = -self.validation.measure(self.best)[1]

    @property
    def _yardstick(self) -> str:
        """What patience measures, in words; what was measured otherwise is forgotten."""
        if self.stopping.by_score:
            return "score"
        words = f"{self.loss.name}, alpha={self.alpha}, {self.structure.strengths()}"
        return words if self.stopping.stream else f"{words} of {self.sample.n_train} rows"

    def end_epoch(self, epoch: Epoch) -> bool:
        """Record an epoch that has been made; return whether it was the last."""
        self.n_iter += 1
        self.check_finite(epoch.loss, epoch.learning_rate)
        self.record(epoch)
        asked = self.observer is not None and self.observer.end_iteration(epoch.parameters)
        stalls, at_rest = self._stalls(epoch), self._at_rest(epoch)
        if self._ends_by_gradient and (stalls or at_rest) and not self._flat(epoch):
            self._warn_steep()
        if stalls or at_rest or asked or self.stopping.stream:
            return True
        if self.n_iter < self.stopping.max_iter or not isinstance(self.optimizer, Stepwise):
            return False  # L-BFGS counts its iterations by itself
        self._warn_not_converged()
        return True

    def record(self, epoch: Epoch) -> None:
        """Write an epoch into the history, and keep what was best."""
        validation_loss, score = self._validate(epoch)
        measured = epoch.learning_rate, epoch.gradient_norm, epoch.seconds
        now = (epoch.loss, validation_loss, score, *measured)
        for name, value in (dict(zip(HISTORY, now, strict=True)) | epoch.means).items():
            self.history.setdefault(name, []).append(value)
        improved = self.patience.update(-score if self.stopping.by_score else epoch.loss)
        if improved and self.stopping.by_score:
            self.best = tuple(part.clone() for part in epoch.parameters)
        if self.age <= self.structure.warmup:
            self.patience.start_over(forget=not self.stopping.by_score)

    def end(self, network: Network, state: OptimizerState, row: int, order: np.ndarray) -> None:
        """Take over what a later run could go on from; the run may then forget this replica."""
        alone = len(network.theta) == 1
        parts = [matrix[row : row + 1] for matrix in (network.theta, network.statistics)]
        self.theta, self.statistics = parts if alone else [part.clone() for part in parts]
        self.state = (state if alone else state.rows([row])).export()
        self.order = order
        for name, values in (("weights", self.theta), ("running statistics", self.statistics)):
            if self.error is None and not torch.isfinite(values).all():
                rate = self.history["learning_rate"][-1]
                self.error = self._divergence(f"the {name} were not finite", rate)

    def kept(self) -> tuple[Tensor, Tensor]:
        """Return theta and the running statistics that the estimator predicts with."""
        if self.best is not None and self.stopping.by_score:
            return self.best
        return self.theta, self.statistics

    def export(self, as_caller: Callable[[Tensor], Any]) -> dict[str, Any]:
        """Return what a later run needs in order to go on as if this one had not ended.

        Parameters
        ----------
        as_caller : callable
            Turns a tensor into an array to keep.
        """
        exported = {
            "optimizer": self.optimizer.rule,
            "state": self.state,
            "patience": self.patience.export() | {"yardstick": self._yardstick},
            "random_state": self.random_state,
            "age": self.age,
        }
        if self.best is not None:
            exported |= {"last": (self.theta, self.statistics), "best": self.best}
        if "split_state" in self.past:
            exported["split_state"] = self.past["split_state"]
        return _map_tensors(as_caller, exported)

    def _validate(self, epoch: Epoch) -> tuple[float, float]:
        if self.validation is None:
            return math.nan, math.nan
        loss, score = of_first_rank(self.sample.X, self.validation.measure(epoch.parameters))
        if math.isnan(score) and self.stopping.by_score:
            raise ValueError(
                f"{self.name}: the validation score was nan in epoch {self.n_iter}, so early "
                "stopping has nothing to go by. Look at `scoring`, and whether the validation "
                "rows suffice for it (all classes, more than one row)."
            )
        return loss, score

    def _stalls(self, epoch: Epoch) -> bool:
        """Whether patience is at its end and the learning rate cannot be lowered either."""
        self.stalled = self.patience.exhausted
        if self.stalled and epoch.state.cut(epoch.row):
            self.patience.count = 0
            self.stalled = False
        return self.stalled

    def _at_rest(self, epoch: Epoch) -> bool:
        """Whether a rule that sees all rows is in a minimum, or finds no way further down."""
        if not self._ends_by_gradient:
            return False
        state, row = epoch.state, epoch.row
        return bool(state.stuck[row]) or (self._flat(epoch) and not bool(state.at_saddle[row]))

    def _flat(self, epoch: Epoch) -> bool:
        return bool(epoch.gradient.abs().max() <= self.stopping.tol)

    def check_finite(self, loss: float, learning_rate: float = math.nan) -> None:
        """Raise if the loss is not a finite number."""
        if not math.isfinite(loss):
            raise self._divergence(f"the loss was {loss}", learning_rate)

    def _divergence(self, what: str, learning_rate: float) -> ValueError:
        at = "" if math.isnan(learning_rate) else f", at learning_rate={learning_rate:g}"
        changes = self.optimizer.gentler() or {"": "'adam'"}
        gentler = [f"optimizer{name and '__' + name}={value}" for name, value in changes.items()]
        return ValueError(
            f"{self.name} diverged: {what} in epoch {self.n_iter}{at}. Try features of unit scale "
            f"(StandardScaler before it), or a gentler optimizer: {' or '.join(gentler)}."
        )

    def _warn_not_converged(self) -> None:
        if self.age <= self.structure.warmup:
            self.warn(
                f"reached max_iter={self.stopping.max_iter} epochs before the warm-up of "
                f"{self.structure.warmup} epochs was over. Raise max_iter, or shorten the warm-up."
            )
            return
        self.warn(
            f"reached max_iter={self.stopping.max_iter} epochs before the "
            f"{'validation score' if self.stopping.by_score else 'training loss'} had "
            f"settled (no gain of tol={self.stopping.tol:g} in {self.patience.n_iter_no_change} "
            "epochs). Raise max_iter, or tol if the fit is good enough."
        )

    def _warn_steep(self) -> None:
        self.warn(
            f"{self.optimizer.rule} found no step that lowers the loss noticeably in epoch "
            f"{self.n_iter}, while the gradient still exceeds tol={self.stopping.tol:g}. Rounding "
            "allows no more, or the loss or the activation has kinks: raise tol, use float64, or "
            "smooth functions (Huber for 'absolute_error' and 'quantile', which do not curve)."
        )

    def warn(self, message: str) -> None:
        """Tell that the fit has not converged."""
        warnings.warn(f"{self.name}: {message}", ConvergenceWarning, stacklevel=2)


def own_copy(past: dict[str, Any], stream: bool) -> dict[str, Any]:
    """Return an exported run that may be taken up without changing the original.

    A stream goes on from the parameters the estimator predicts with; a warm start from those
    of the last epoch, which under early stopping are others.
    """
    dropped = ("last", "best") if stream else ()
    own = {name: value for name, value in past.items() if name not in dropped}
    if "random_state" in own:
        own["random_state"] = copy.deepcopy(own["random_state"])
    return own


def _map_tensors(function: Callable[[Tensor], Any], tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {key: _map_tensors(function, value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_map_tensors(function, value) for value in tree)
    return tree
