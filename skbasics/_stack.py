"""Many fits side by side: those of networks of one shape are trained as one stack."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import clone

from skbasics._arrays import Border, compute_device
from skbasics._atomic import restore
from skbasics._base import NetworkEstimator
from skbasics._collective import refuse_in_group
from skbasics._data import Checked, Sample, as_features, check_weights, floating_dtype
from skbasics._fitted import prediction_architecture
from skbasics._replica import Replica
from skbasics._run import Run
from skbasics._sklearn import safe_indexing, validate_parameter_constraints
from skbasics.optim import FirstOrder, Optimizer, resolve_optimizer

STACK_BYTES = 2**26
"""What a stack may take for parameters, gradients, moments, rows and the batch: 64 MiB."""

_NAMES = ("n_features_in_", "feature_names_in_", "image_shape_")


@dataclass
class Job:
    """A fit to be made: ``estimator.fit(X[rows], y[rows], **fit_params)``.

    Attributes
    ----------
    estimator : estimator
        A clone of its own for each job; it is fitted in place.
    X, y : array-like
        Jobs on the same data share the objects themselves.
    rows : ndarray of int or bool, or None
        Row numbers, repeats allowed, or a mask; None means all rows.
    fit_params : dict
        Keywords for `fit`, already cut to `rows`.
    """

    estimator: Any
    X: Any
    y: Any
    rows: np.ndarray | None = None
    fit_params: dict[str, Any] = field(default_factory=dict)


def stackable(estimator: Any) -> bool:
    """Whether fits of this estimator can be made side by side in a stack.

    Its optimizer must be a first-order rule of our own; callbacks, a bar and what goes on from an
    earlier fit are for a fit alone.
    """
    return (
        isinstance(estimator, NetworkEstimator)
        and isinstance(_optimizer(estimator), FirstOrder)
        and not (estimator.verbose or getattr(estimator, "_skl_callbacks", None))
        and not (estimator.warm_start and hasattr(estimator, "_theta"))
    )


def _optimizer(estimator: NetworkEstimator) -> Optimizer | None:
    try:
        return resolve_optimizer(estimator.optimizer)
    except (TypeError, ValueError, KeyError):  # which the fit will explain
        return None


def fit_side_by_side(
    jobs: Sequence[Job],
    *,
    stack_size: int | str = "auto",
    on_end: Callable[[int], None] = lambda n_jobs: None,
) -> list[Exception | None]:
    """Make every fit; return for each the exception that it raised, or None.

    An estimator whose fit failed is as it was, and so are all of them after an interruption. Fits
    that can be stacked equal those made alone but for rounding; networks of one shape, one loss
    and one optimizer rule are trained together, whatever their rows, seeds, rates, penalties,
    dropout, batch sizes and stopping rules. A generator that several jobs share, be it NumPy's
    own, is drawn from in the order of the stacks.

    Parameters
    ----------
    jobs : list of Job
    stack_size : int or "auto", default="auto"
        Networks in a stack, at most. "auto" takes as many as need 64 MiB.
    on_end : callable
        Called with a number of fits that were trained together, when they are.
    """
    refuse_in_group("A stack of fits")
    before = [vars(job.estimator).copy() for job in jobs]
    try:
        return _fitted(jobs, stack_size, on_end)
    except BaseException:
        for job, attributes in zip(jobs, before, strict=True):
            restore(job.estimator, attributes)
        raise


def _fitted(
    jobs: Sequence[Job], stack_size: int | str, on_end: Callable[[int], None]
) -> list[Exception | None]:
    outcomes: dict[int, Exception | None] = {}
    groups: dict[Any, list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault(_group(job), []).append(i)
    for i in groups.pop(None, []):
        outcomes[i] = _alone(jobs[i])
        on_end(1)
    blocks: dict[tuple, _Block | None] = {}
    for numbers in groups.values():
        left = [(i, _numbered(jobs[i])) for i in numbers]
        while left:
            left = _next_stack(left, blocks, outcomes, stack_size, on_end)
    return [outcomes[i] for i in range(len(jobs))]


@dataclass
class _Fit:
    """A fit on its way through a stack."""

    number: int
    job: Job
    before: dict[str, Any]
    replica: Replica
    block: "_Block"

    def finish(self) -> Exception | None:
        """Let the estimator keep what its replica came to, or be as it was."""
        try:
            self.job.estimator._keep(self.replica, self.block.data.border)
        except Exception as error:
            restore(self.job.estimator, self.before)
            return error
        return None

    def start_over(self) -> Exception | None:
        """Fit it alone, as if it had never been in a stack."""
        restore(self.job.estimator, self.before)
        return _alone(self.job)


class _Block:
    """Data that several fits share, validated once."""

    def __init__(self, job: Job) -> None:
        self.X, self.y = job.X, job.y  # held on to, for they are known by their identity
        first = clone(job.estimator)
        self.data = first._check(job.X, job.y, None, reset=True)
        self.names = {name: vars(first)[name] for name in _NAMES if name in vars(first)}
        self.features: dict[torch.device, Any] = {}
        self._checked: dict[tuple[str, int], Any] = {}

    def check_parameters(self, estimator: NetworkEstimator) -> None:
        """Validate the parameters, the same object once."""
        constraints, values = estimator._parameter_constraints, vars(estimator)
        new = {n: values[n] for n in constraints if (n, id(values[n])) not in self._checked}
        rules = {name: constraints[name] for name in new}
        validate_parameter_constraints(rules, new, caller_name=type(estimator).__name__)
        self._checked |= {(name, id(value)): value for name, value in new.items()}

    def sample_of(self, estimator: NetworkEstimator, job: Job) -> tuple[Checked, Sample]:
        """Return the rows of a fit: labels and weights of its own, features shared."""
        data, rows = self.data, job.rows
        y = data.y if rows is None else data.y[rows]
        weights = job.fit_params.get("sample_weight")
        if weights is not None:
            counted, weights = check_weights(weights, np.empty((y.shape[0], 1), data.X.dtype))
            if counted is not None:
                rows = np.flatnonzero(counted) if rows is None else rows[counted]
                y = y[counted]
        device = compute_device(data.border, estimator.device)
        if device not in self.features:
            self.features[device] = as_features(data.X, device, floating_dtype(data.X))
        own = Checked(data.X, y, weights, data.border)
        return own, Sample(self.features[device], None, rows)


def _group(job: Job) -> tuple | None:
    """Return what the fits of a stack have in common and parameters say; None is a fit alone."""
    estimator = job.estimator
    if not stackable(estimator) or set(job.fit_params) - {"sample_weight"}:
        return None
    if len(getattr(job.X, "shape", ())) < 2 or not Border.of(job.X).is_numpy:
        return None
    return (
        type(estimator),
        estimator._reading(),
        job.X.shape[1:],
        repr(estimator.hidden_layer_sizes),
        type(_optimizer(estimator)),
        repr(estimator.device),
    )


def _numbered(job: Job) -> Job:
    """Return a job whose rows are numbers, counted from the first, or None."""
    if job.rows is None:
        return job
    return replace(job, rows=np.arange(job.X.shape[0])[job.rows])


def _next_stack(
    jobs: Sequence[tuple[int, Job]],
    blocks: dict[tuple, _Block | None],
    outcomes: dict[int, Exception | None],
    stack_size: int | str,
    on_end: Callable[[int], None],
) -> Sequence[tuple[int, Job]]:
    """Train as many fits as a stack may hold; return the others."""
    fits, others = _gather(jobs, blocks, outcomes, stack_size)
    if len(fits) + len(others) < len(jobs):
        on_end(len(jobs) - len(fits) - len(others))
    for alike in _alike(fits):
        outcomes |= _train(alike)
        on_end(len(alike))
    return others


def _gather(
    jobs: Sequence[tuple[int, Job]],
    blocks: dict[tuple, _Block | None],
    outcomes: dict[int, Exception | None],
    stack_size: int | str,
) -> tuple[list[_Fit], Sequence[tuple[int, Job]]]:
    """Return as many fits, ready to begin, as a stack may hold, and the other jobs.

    The fits that fail here, and those of data that are refused as a whole, are done with.
    """
    fits: list[_Fit] = []
    room = STACK_BYTES if stack_size == "auto" else stack_size
    for place, (number, job) in enumerate(jobs):
        if fits and room <= 0:
            return fits, jobs[place:]
        block = _block(job, blocks)
        if block is None or (job.rows is not None and len(job.rows) == 0):
            outcomes[number] = _alone(job)
            continue
        before = vars(job.estimator).copy()
        try:
            fit = _ready(number, job, before, block)
        except Exception as error:
            restore(job.estimator, before)
            outcomes[number] = error
            continue
        fits.append(fit)
        room -= _n_bytes(fit.replica) if stack_size == "auto" else 1
    return fits, []


def _block(job: Job, blocks: dict[tuple, _Block | None]) -> _Block | None:
    """Return the data of a fit; None if validation refuses them, though it may take the rows."""
    key = (type(job.estimator), job.estimator._reading(), id(job.X), id(job.y))
    if key not in blocks:
        try:
            blocks[key] = _Block(job)
        except Exception:  # which a fit alone will explain
            blocks[key] = None
    return blocks[key]


def _ready(number: int, job: Job, before: dict[str, Any], block: _Block) -> _Fit:
    """Return a fit before its first epoch."""
    estimator = job.estimator
    block.check_parameters(estimator)
    estimator._forget()
    vars(estimator).update(block.names)
    data, sample = block.sample_of(estimator, job)
    replica = estimator._replica(data, {}, shared=sample)
    classes = getattr(estimator, "classes_", None)
    replica.sample.block = (id(block), None if classes is None else tuple(classes.tolist()))
    return _Fit(number, job, before, replica, block)


def _n_bytes(replica: Replica) -> int:
    """Return what a replica takes of a stack: rows of theta and the like, of data, and a batch."""
    sample = replica.sample
    n_buffers = len(getattr(replica.optimizer, "buffer_names", ()))
    n_units = 3 * prediction_architecture(replica.structure).n_units
    batch = min(replica.batch_size, sample.n_train) * (sample.X.shape[1] + n_units)
    n_numbers = replica.theta.numel() * (2 + n_buffers) + batch
    weights = 0 if sample.weights is None else 2 * sample.weights.nbytes
    return replica.theta.itemsize * n_numbers + _n_row_bytes(replica) + weights


def _n_row_bytes(replica: Replica) -> int:
    """Return what a replica holds for each of its rows, where there are more than a batch."""
    sample, validation = replica.sample, replica.validation
    # The numbers of the rows (8 in X, 4 in the stack), their order, and the rows in that order.
    n_bytes = sample.target.nbytes + (8 + 4 + 4 + 4) * sample.n_train
    if validation is not None:  # held as the caller's and as ours
        X = validation.rows.X
        n_bytes += 2 * (X.data.nbytes + X.indices.nbytes if sp.issparse(X) else X.nbytes)
    return n_bytes


def _alike(fits: Sequence[_Fit]) -> list[list[_Fit]]:
    """Return the fits in groups that can be one stack."""
    groups: dict[tuple, list[_Fit]] = {}
    for fit in fits:
        replica, sample = fit.replica, fit.replica.sample
        key = (
            replica.structure.common(),
            replica.loss,
            replica.optimizer.rule,
            replica.shuffle,
            replica.theta.dtype,
            sample.target.dtype,
            sp.issparse(sample.X),
        )
        groups.setdefault(key, []).append(fit)
    return list(groups.values())


def _train(fits: Sequence[_Fit]) -> dict[int, Exception | None]:
    """Train some fits as one stack; return what became of each."""
    try:
        Run([fit.replica for fit in fits]).train()
    except Exception:  # one of them it is, or memory: those that can be made alone, are
        return {fit.number: fit.start_over() for fit in fits}
    return {fit.number: fit.finish() for fit in fits}


def _alone(job: Job) -> Exception | None:
    before = vars(job.estimator).copy()
    try:
        X, y = (_cut(data, job.rows) for data in (job.X, job.y))
        job.estimator.fit(X, y, **job.fit_params)
    except Exception as error:
        restore(job.estimator, before)
        return error
    return None


def _cut(data: Any, rows: np.ndarray | None) -> Any:
    return data if data is None or rows is None else safe_indexing(data, rows)
