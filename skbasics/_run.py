"""A stack of fits in training, from where they start to where each of them ends."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from tqdm import tqdm

from skbasics._arrays import column
from skbasics._replica import Epoch, Replica, Sample
from skbasics._shards import Shard, of_first_rank
from skbasics._training import Batches, Rows, ShardedBatches, epochs
from skbasics.network import Network
from skbasics.optim import LBFGS, Stepwise


class Run:
    """The training of K networks of one architecture, side by side.

    Parameters
    ----------
    replicas : list of K Replica
        Of one structure but for dropout, one loss, and optimizers of one rule.
    verbose : bool or int, default=False
        Whether to show a bar.
    """

    def __init__(self, replicas: Sequence[Replica], *, verbose: bool | int = False) -> None:
        self.running, self.verbose = list(replicas), verbose
        first = self.running[0]
        self.loss, self.optimizer = first.loss, first.optimizer
        self.batches = _batches(self.running)
        theta, statistics = (
            torch.cat([getattr(replica, name) for replica in self.running])
            if len(self.running) > 1
            else getattr(first, name)
            for name in ("theta", "statistics")
        )
        self._build(theta, statistics)
        self.state = self._start()
        for row, replica in enumerate(self.running):
            replica.begin(self.state, row, self.batches.n_batches[row])

    def train(self) -> None:
        """Train every replica to its end. One that fails has its `error`, and the others go on."""
        n_epochs = max(replica.stopping.max_iter for replica in self.running)
        with tqdm(total=n_epochs, desc=self.running[0].name, disable=not self.verbose) as bar:
            self._bar = bar
            if isinstance(self.optimizer, Stepwise):
                while self.running:
                    self._train_by_epochs(self.optimizer)
            else:
                self._train_by_lbfgs(self.optimizer)

    def _build(self, theta: Tensor, statistics: Tensor) -> None:
        """Make the network of the replicas that are running, and what it minimises."""
        structures = [replica.structure for replica in self.running]
        architecture = structures[0].architecture(structures)
        self.network = Network(architecture, theta, statistics)
        alpha = column([replica.alpha for replica in self.running], theta)
        self.objective = structures[0].objective(self.network, self.loss, alpha)

    def _start(self) -> Any:
        n_steps, exported = [], {}
        for replica, n_batches in zip(self.running, self.batches.n_batches, strict=True):
            if replica.past.get("optimizer") == self.optimizer.rule:
                exported = replica.past.get("state", {})
            made = int(exported.get("steps", [0])[0])
            n_steps.append(made + replica.stopping.max_iter * n_batches)
        optimizers = [replica.optimizer for replica in self.running]
        state = self.optimizer.start(
            self.objective,
            replicas=optimizers if len(optimizers) > 1 else None,
            n_steps=None if self.running[0].stopping.stream else n_steps,
        )
        return state.resume(exported) if exported else state

    def _train_by_epochs(self, optimizer: Stepwise) -> None:
        """Train until some replica ends, and go on without it."""
        trained = epochs(
            self.objective, optimizer, self.state, self.batches, np.ones(len(self.running), bool)
        )
        ended: list[int] = []
        while not ended:
            self._begin_epoch()
            self._clock = time.perf_counter()
            losses = of_first_rank(self.batches.rows.X, next(trained))
            self._recorded = self.objective.recorded()
            ended = self._end_epoch(losses)
        self._go_on_without(ended)

    def _begin_epoch(self) -> None:
        for replica in self.running:
            if replica.observer is not None:
                replica.observer.begin_iteration()
        self.network.begin_epoch([replica.age for replica in self.running])
        self._rates = self.state.current_rates()

    def _end_epoch(self, losses: Sequence[float]) -> list[int]:
        """Record an epoch; return the places of the replicas for which it was the last."""
        ended = []
        for epoch, replica in zip(self._epochs(losses), self.running, strict=True):
            try:
                is_last = replica.end_epoch(epoch)
            except Exception as error:
                replica.error, is_last = error, True
            if is_last:
                ended.append(epoch.row)
        self._bar.set_postfix(loss=f"{min(losses):.4g}", refresh=False)
        self._bar.update()
        return ended

    def _epochs(self, losses: Sequence[float]) -> list[Epoch]:
        seconds = (time.perf_counter() - self._clock) / len(losses)
        norms = self.state.gradient_norm  # what they were before they were clipped
        if norms is None:
            norms = torch.linalg.vector_norm(self.network.gradient, dim=1)
        norms = norms.reshape(-1).tolist()
        return [
            Epoch(
                self.network,
                self.state,
                row,
                loss,
                self._rates[row],
                norms[row],
                seconds,
                {name: values[row] for name, values in self._recorded.items()},
            )
            for row, loss in enumerate(losses)
        ]

    def _go_on_without(self, ended: list[int]) -> None:
        """Give those that have ended what is theirs, and the others a smaller stack."""
        for row in ended:
            order = self.batches.orders[row]
            self.running[row].end(self.network, self.state, row, order)
        rest = np.setdiff1d(np.arange(len(self.running)), ended).tolist()
        self.running = [self.running[row] for row in rest]
        if rest:
            self.batches, self.state = self.batches.some(rest), self.state.rows(rest)
            self._build(self.network.theta[rest], self.network.statistics[rest])

    def _train_by_lbfgs(self, optimizer: LBFGS) -> None:
        """Give all rows to L-BFGS, of which an iteration is an epoch."""
        (replica,) = self.running
        if self.batches.n_batches[0] > 1:
            raise ValueError(
                f"LBFGS takes all {replica.sample.n_train} rows at once, and batch_size cuts them "
                f"into {self.batches.n_batches[0]} batches. Leave batch_size='auto'."
            )
        (batch,) = self.batches.epoch(np.ones(1, bool))
        halted: list[int] = []

        def watch(loss: float) -> bool:
            self._begin_epoch()
            halted[:] = self._end_epoch([loss])
            self._clock = time.perf_counter()
            return bool(halted)

        def look_at(loss: float) -> None:
            self._recorded = self.objective.recorded()  # that of the last evaluation counts
            replica.check_finite(loss)

        self._rates, self._clock = self.state.current_rates(), time.perf_counter()
        found = optimizer.run(
            self.objective,
            batch,
            max_iter=replica.stopping.max_iter,
            tol=replica.stopping.tol,
            on_evaluation=look_at,
            on_iteration=watch,
        )
        if replica.n_iter == 0:  # the start was the minimum already: it is what there is to record
            replica.record(self._epochs([float(found.fun)])[0])
        if not (found.success or halted):
            replica.warn(_unfinished(replica, found.status, found.message))
        self._go_on_without([0])


def _unfinished(replica: Replica, status: int, message: str) -> str:
    """Return what to say of an L-BFGS that has not converged."""
    advice = "Scale the features (StandardScaler), or raise tol if the fit is good enough."
    if replica.n_iter == replica.stopping.max_iter:
        advice = f"Raise max_iter={replica.stopping.max_iter}. {advice}"
    elif status == 1:
        advice = f"Raise optimizer__max_fun={replica.optimizer.max_fun}. {advice}"
    return (
        f"lbfgs failed to converge after {replica.n_iter} iteration(s) (status={status}, "
        f"{message}). {advice}"
    )


def _batches(replicas: Sequence[Replica]) -> Batches:
    """Return the batches of some fits, whose rows are brought together."""
    first = replicas[0]
    rows, subsets = _together([replica.sample for replica in replicas])
    weights = [replica.sample.weights for replica in replicas]
    if any(w is not None for w in weights):
        ones = [first.theta.new_ones(replica.sample.n_train) for replica in replicas]
        weights = [one if w is None else w for w, one in zip(weights, ones, strict=True)]
    orders = [replica.past.get("order") for replica in replicas]
    kind = ShardedBatches if isinstance(rows.X, Shard) else Batches
    return kind(
        rows,
        subsets,
        None if weights[0] is None else weights,
        [replica.batch_size for replica in replicas],
        shuffle=first.shuffle,
        random_states=[replica.random_state for replica in replicas],
        min_batch_size=2 if first.structure.batch_norm else 1,
        orders=None if orders[0] is None or first.stopping.stream else orders,
    )


def _together(samples: Sequence[Sample]) -> tuple[Rows, list[Tensor] | None]:
    """Return the rows of all samples, each block of them once, and what of them each takes."""
    first = samples[0]
    if len(samples) == 1 and first.index is None:
        rows = Rows(first.X, first.target)
        return rows, None if first.train is None else [_as_index(first.train, rows.y)]
    blocks = {sample.block: sample for sample in samples}
    starts, n_rows = {}, 0
    for key, sample in blocks.items():
        starts[key], n_rows = n_rows, n_rows + sample.X.shape[0]
    y = first.target.new_zeros(n_rows, first.target.shape[1])
    subsets = []
    for sample in samples:
        own = np.arange(sample.X.shape[0]) if sample.index is None else sample.index
        numbers = own.astype(np.int32) + starts[sample.block]
        y[_as_index(numbers, y)] = sample.target
        taken = numbers if sample.train is None else numbers[sample.train]
        subsets.append(_as_index(taken, y))
    return Rows(_stacked([sample.X for sample in blocks.values()]), y), subsets


def _as_index(numbers: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(numbers.astype(np.int32, copy=False)).to(like.device)


def _stacked(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return torch.cat(parts) if isinstance(parts[0], Tensor) else sp.vstack(parts, format="csr")
