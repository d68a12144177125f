"""One call of `fit` or `partial_fit`: from validated data to what the estimator keeps.

A `Run` owns everything that changes while an estimator trains, so that the estimator itself
is touched once, at the end.
"""

import copy
import functools
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from tqdm import tqdm

from skbasics._arrays import as_tensor, weighted_mean
from skbasics._stopping import Stopping, Validation
from skbasics._training import Batches, Patience, epochs, predict_rows
from skbasics.network import Loss, Network, NetworkObjective
from skbasics.optim import LBFGS, Optimizer, Stepwise

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
class Run:
    """The training of one network.

    Attributes
    ----------
    name : str
        The estimator's class, for messages.
    network, loss, optimizer
        What is trained, on what, and how.
    alpha : float
    batches : Batches
    stopping : Stopping
    validation : Validation or None
    past : dict
        What an earlier run exported, to be taken up; empty for a fresh start.
    verbose : bool or int
        Whether to show a bar.
    observer : object or None
        Its ``begin_iteration()`` and ``end_iteration(run)`` are called each epoch; the latter may
        stop the run.
    history : dict of list of float
        What was recorded of each epoch.
    n_iter : int
        Epochs made.
    stalled : bool
        Whether patience came to its end.
    """

    name: str
    network: Network
    loss: Loss
    optimizer: Optimizer
    alpha: float
    batches: Batches
    stopping: Stopping
    validation: Validation | None
    past: dict[str, Any]
    verbose: bool | int = False
    observer: Any = None
    history: dict[str, list[float]] = field(default_factory=lambda: {key: [] for key in HISTORY})
    n_iter: int = 0
    stalled: bool = False

    def __post_init__(self) -> None:
        self.objective = NetworkObjective(self.network, self.loss, self.alpha)
        self.state = self._start()
        self._rate = math.nan
        self.best = None
        if "best" in self.past:
            like = self.network.theta
            self.best = tuple(as_tensor(part, device=like.device) for part in self.past["best"])
        self.patience = self._start_patience()

    def train(self) -> "Run":
        """Run to the end and leave the network as it should be kept."""
        with tqdm(total=self.stopping.max_iter, desc=self.name, disable=not self.verbose) as bar:
            self._bar = bar
            if isinstance(self.optimizer, Stepwise):
                self._train_by_epochs(self.optimizer)
            else:
                self._train_by_lbfgs(self.optimizer)
        if not torch.isfinite(self.network.theta).all():
            raise ValueError(self._divergence("the weights were not finite"))
        return self

    def kept(self) -> tuple[Tensor, Tensor]:
        """Return theta and the running statistics that the estimator predicts with."""
        if self.best is not None and self.stopping.by_score:
            return self.best
        return self.network.theta, self.network.statistics

    def copied(self) -> tuple[Tensor, Tensor]:
        """Return a copy of theta and the statistics as they are now."""
        return self.network.theta.clone(), self.network.statistics.clone()

    @property
    def n_rows(self) -> int:
        """The number of rows in an epoch."""
        return len(self.batches.orders[0])

    def export(self, as_caller: Callable[[Tensor], Any]) -> dict[str, Any]:
        """Return what a later run needs in order to go on as if this one had not ended.

        Parameters
        ----------
        as_caller : callable
            Turns a tensor into an array to keep.
        """
        exported = {
            "optimizer": self.optimizer.rule,
            "state": self.state.export(),
            "patience": self.patience.export() | {"yardstick": self._yardstick},
            "random_state": self.batches.random_states[0],
        }
        if self.best is not None:
            exported |= {"last": (self.network.theta, self.network.statistics), "best": self.best}
        if "split_state" in self.past:
            exported["split_state"] = self.past["split_state"]
        return _map_tensors(as_caller, exported)

    def _start(self) -> Any:
        exported = self.past.get("state", {})
        if self.past.get("optimizer") != self.optimizer.rule:
            exported = {}
        n_steps = None
        if not self.stopping.stream:
            made = int(exported.get("steps", [0])[0])
            n_steps = [made + self.stopping.max_iter * self.batches.n_batches[0]]
        state = self.optimizer.start(self.objective, n_steps=n_steps)
        return state.resume(exported) if exported else state

    def _start_patience(self) -> Patience:
        limit = self.state.patience(0) or self.stopping.n_iter_no_change
        if not (isinstance(self.optimizer, Stepwise) or self.stopping.by_score):
            limit = math.inf  # L-BFGS knows by itself when the loss has settled
        patience = Patience(self.stopping.tol, limit)
        past = self.past.get("patience", {})
        if past.get("yardstick") != self._yardstick:
            self.best = None
            return patience
        # A run that was stopped and is started again gets its patience back.
        spent = past["count"] > min(past["n_iter_no_change"], limit)
        patience.count = 0 if spent else past["count"]
        patience.best = past["best"]
        if self.best is not None:  # the validation rows or the metric may be others now
            patience.best = -self._score(*self.best)[1]
        return patience

    @property
    def _yardstick(self) -> str:
        """What patience measures, in words; what was measured otherwise is forgotten."""
        if self.stopping.by_score:
            return "score"
        name = self.loss.name
        return name if self.stopping.stream else f"{name} of {self.n_rows} rows"

    def _train_by_epochs(self, optimizer: Stepwise) -> None:
        trained = epochs(self.objective, optimizer, self.state, self.batches, np.ones(1, bool))
        for _ in range(self.stopping.max_iter):
            self._begin_epoch()
            self._clock = time.perf_counter()
            (loss,) = next(trained)
            if self._end_epoch(loss) or self.stopping.stream:
                return
        self._warn_not_converged()

    def _train_by_lbfgs(self, optimizer: LBFGS) -> None:
        """Give all rows to L-BFGS, of which an iteration is an epoch."""
        if self.batches.n_batches[0] > 1:
            raise ValueError(
                f"LBFGS takes all {self.n_rows} rows at once, and batch_size cuts them into "
                f"{self.batches.n_batches[0]} batches. Leave batch_size='auto'."
            )
        (batch,) = self.batches.epoch(np.ones(1, bool))
        halted = False

        def watch(loss: float) -> bool:
            nonlocal halted
            self._begin_epoch()
            halted = self._end_epoch(loss)
            self._clock = time.perf_counter()
            return halted

        self._clock = time.perf_counter()
        found = optimizer.run(
            self.objective,
            batch,
            max_iter=self.stopping.max_iter,
            tol=self.stopping.tol,
            on_evaluation=self._check_finite,
            on_iteration=watch,
        )
        if self.n_iter == 0:  # the start was the minimum already: it is what there is to record
            self._record(float(found.fun))
        if not (found.success or halted):
            self._warn_lbfgs(found.status, found.message)

    def _begin_epoch(self) -> None:
        if self.observer is not None:
            self.observer.begin_iteration()
        self._rate = self.state.current_rates()[0]

    def _end_epoch(self, loss: float) -> bool:
        """Record an epoch that has been made; return whether it was the last."""
        self.n_iter += 1
        self._check_finite(loss)
        self._record(loss)
        self._bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
        self._bar.update()
        asked_to_stop = self.observer is not None and self.observer.end_iteration(self)
        stalls, at_rest = self._stalls(), self._at_rest()
        if self._ends_by_gradient and (stalls or at_rest) and not self._flat():
            self._warn_steep()
        return stalls or at_rest or asked_to_stop

    def _record(self, loss: float) -> None:
        seconds = time.perf_counter() - self._clock
        validation_loss, score = self._validate()
        clipped = self.state.gradient_norm  # what it was before it was clipped
        norm = self.network.gradient.norm() if clipped is None else clipped
        now = (loss, validation_loss, score, self._rate, float(norm), seconds)
        for name, value in zip(HISTORY, now, strict=True):
            self.history[name].append(value)
        improved = self.patience.update(-score if self.stopping.by_score else loss)
        if improved and self.stopping.by_score:
            self.best = self.copied()

    def _validate(self) -> tuple[float, float]:
        if self.validation is None:
            return math.nan, math.nan
        loss, score = self._score(self.network.theta, self.network.statistics)
        if math.isnan(score) and self.stopping.by_score:
            raise ValueError(
                f"{self.name}: the validation score was nan in epoch {self.n_iter}, so early "
                "stopping has nothing to go by. Look at `scoring`, and whether the validation "
                "rows suffice for it (all classes, more than one row)."
            )
        return loss, score

    @torch.no_grad()
    def _score(self, theta: Tensor, statistics: Tensor) -> tuple[float, float]:
        """Return the loss and the score of some parameters on the validation rows."""
        rows, weights = self.validation.rows, self.validation.weights
        apply = functools.partial(self.network.architecture.apply, theta, statistics)
        Z = predict_rows(apply, rows.X, theta)
        loss = weighted_mean(self.loss.rows(Z[None], rows.y[None])[0], weights)
        return loss, self.validation.score(Z, (theta, statistics))

    def _stalls(self) -> bool:
        """Whether patience is at its end and the learning rate cannot be lowered either."""
        self.stalled = self.patience.exhausted
        if self.stalled and self.state.cut(0):
            self.patience.count = 0
            self.stalled = False
        return self.stalled

    @property
    def _ends_by_gradient(self) -> bool:
        alone = self.batches.n_batches[0] == 1 and not self.stopping.stream
        return self.optimizer.ends_by_gradient and alone

    def _at_rest(self) -> bool:
        """Whether a rule that sees all rows is in a minimum, or finds no way further down."""
        if not self._ends_by_gradient:
            return False
        at_saddle, stuck = bool(self.state.at_saddle[0]), bool(self.state.stuck[0])
        return stuck or (self._flat() and not at_saddle)

    def _flat(self) -> bool:
        return bool(self.network.gradient.abs().max() <= self.stopping.tol)

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise ValueError(self._divergence(f"the loss was {loss}"))

    def _divergence(self, what: str) -> str:
        at = "" if math.isnan(self._rate) else f", at learning_rate={self._rate:g}"
        changes = self.optimizer.gentler() or {"": "'adam'"}
        gentler = [f"optimizer{name and '__' + name}={value}" for name, value in changes.items()]
        return (
            f"{self.name} diverged: {what} in epoch {self.n_iter}{at}. Try features of unit scale "
            f"(StandardScaler before it), or a gentler optimizer: {' or '.join(gentler)}."
        )

    def _warn_not_converged(self) -> None:
        self._warn(
            f"reached max_iter={self.stopping.max_iter} epochs before the "
            f"{'validation score' if self.stopping.by_score else 'training loss'} had "
            f"settled (no gain of tol={self.stopping.tol:g} in {self.patience.n_iter_no_change} "
            "epochs). Raise max_iter, or tol if the fit is good enough."
        )

    def _warn_steep(self) -> None:
        self._warn(
            f"{self.optimizer.rule} found no step that lowers the loss noticeably in epoch "
            f"{self.n_iter}, while the gradient still exceeds tol={self.stopping.tol:g}. Rounding "
            "allows no more, or the loss or the activation has kinks: raise tol, use float64, or "
            "smooth functions (Huber for 'absolute_error' and 'quantile', which do not curve)."
        )

    def _warn_lbfgs(self, status: int, message: str) -> None:
        advice = "Scale the features (StandardScaler), or raise tol if the fit is good enough."
        if self.n_iter == self.stopping.max_iter:
            advice = f"Raise max_iter={self.stopping.max_iter}. {advice}"
        elif status == 1:
            advice = f"Raise optimizer__max_fun={self.optimizer.max_fun}. {advice}"
        self._warn(
            f"lbfgs failed to converge after {self.n_iter} iteration(s) (status={status}, "
            f"{message}). {advice}"
        )

    def _warn(self, message: str) -> None:
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
