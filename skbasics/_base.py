"""What every estimator that trains a network shares: training, continuation, prediction."""

import functools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from torch import Tensor

from skbasics._adoption import adopted
from skbasics._arrays import Border, as_tensor, compute_device, own_random_state
from skbasics._atomic import forget, training_method
from skbasics._callbacks import FitTasks
from skbasics._collective import active_group
from skbasics._data import Checked, Sample, as_sample, check_data, floating_dtype
from skbasics._fitted import FeedForward, FittedNetwork, Structure, prediction_architecture
from skbasics._gathered import begin
from skbasics._held_out import HoldOut
from skbasics._options import EngineParameters
from skbasics._replica import HISTORY, Replica, own_copy
from skbasics._run import Run
from skbasics._sklearn import (
    CallbackSupportMixin,
    Hidden,
    Interval,
    Options,
    StrOptions,
)
from skbasics._stopping import Stopping
from skbasics.network import ACTIVATIONS, Architecture, Loss, glorot_uniform
from skbasics.optim import OPTIMIZERS, Optimizer, Stepwise, resolve_optimizer

LEARNED = ("_theta", "_statistics", "_training", "_history", "_structure", "_multilabel")
"""The private attributes of a fitted estimator: what it predicts with and how it goes on."""


def _follows_streams(estimator: Any) -> bool:
    optimizer = estimator.optimizer
    kind = OPTIMIZERS.get(optimizer) if isinstance(optimizer, str) else type(optimizer)
    if kind is not None and issubclass(kind, Optimizer) and not issubclass(kind, Stepwise):
        raise AttributeError(
            f"partial_fit needs an optimizer that works step by step, and {kind.__name__} does "
            "not. Take optimizer='adam' for a stream; fit with warm_start=True goes on from a fit."
        )
    return True


def stream_method(method: Callable) -> Callable:
    """Decorate `partial_fit`: a training method, missing where the optimizer has no steps."""
    return available_if(_follows_streams)(training_method(method))


class NetworkEstimator(CallbackSupportMixin, HoldOut, FittedNetwork, EngineParameters, ABC):
    """An estimator whose model is a network.

    A subclass says how its targets become numbers (`_encode`), which loss they call for
    (`_loss`).
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS)), callable],
        "optimizer": [StrOptions(set(OPTIMIZERS)), Optimizer, Hidden(type)],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "batch_norm": ["boolean"],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "warm_start": ["boolean"],
        "device": [str, torch.device, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # What a subclass says.

    _data_parallel: ClassVar[bool] = True
    """Whether several ranks can make a fit together."""

    _y_numeric: ClassVar[bool] = True

    @abstractmethod
    def _encode(
        self, y: Any, *, learn: bool, classes: Any = None, complete: bool = False
    ) -> np.ndarray:
        """Return y as numbers ``(n, n_targets)``.

        Where `learn`, the coding is learned from y or from all `classes`; else it is known,
        and where `complete`, y must show all of it.
        """

    @abstractmethod
    def _loss(self) -> Loss:
        """Return the loss to minimise."""

    def _stratify(self, target: np.ndarray) -> np.ndarray | None:
        """Return the labels by which the validation split is stratified, if any."""
        return None

    def _fit_weights(self, data: Checked, train: np.ndarray | None) -> np.ndarray | None:
        """Return the weights of all rows: the sample weights, and what a subclass adds.

        `train` are the rows that are trained on; None means all.
        """
        return data.weights

    # Training.

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        held_out: tuple[Any, Any, Any] = (None, None, None),
        stream: bool = False,
        classes: Any = None,
    ) -> Self:
        """Train on the data: one pass of a stream, or until the stopping rule says so."""
        first = not (hasattr(self, "_theta") and (stream or self.warm_start))
        if first:
            self._forget()
            if not stream and adopted(self, (X, y, sample_weight, *held_out)):
                return self
        past = own_copy(getattr(self, "_training", {}), stream)
        data = self._checked(X, y, sample_weight, first, past, held_out)
        replica = self._replica(
            data, past, first=first, held_out=held_out, stream=stream, classes=classes
        )
        if getattr(self, "_skl_callbacks", None) and not stream:
            replica.observer = FitTasks(
                self,
                (X, y, sample_weight),
                self.max_iter,
                lambda parameters: self._learned([p.clone() for p in parameters], data.border),
            )
        Run([replica], verbose=self.verbose).train()
        self._keep(replica, data.border)
        if replica.observer is not None:
            replica.observer.end()
        return self

    def _replica(
        self,
        data: Checked,
        past: dict[str, Any],
        *,
        first: bool = True,
        held_out: tuple[Any, Any, Any] = (None, None, None),
        stream: bool = False,
        classes: Any = None,
        shared: Sample | None = None,
    ) -> Replica:
        """Return this fit before its first epoch.

        Where several fits share their rows, `shared` has those, and which of them are this
        one's; ``data.X`` are all of them, ``data.y`` and ``data.weights`` its own.
        """
        target = self._encode(data.y, learn=first, classes=classes, complete=not stream)
        if "random_state" not in past:
            past["random_state"] = own_random_state(self.random_state)
        theta, statistics = self._start(data, past, first)
        sample = as_sample(data, target, theta, shared)
        self._loss().check_target(sample.target)
        self.out_activation_ = self._loss().out_activation
        train, validation = self._hold_out(data, sample, held_out, past, stream)
        sample.trains_on(train, self._fit_weights(data, train))
        self._read_off(sample, theta, statistics, first)
        return Replica(
            type(self).__name__,
            self._structure,
            theta,
            statistics,
            self._loss(),
            self._optimizer(),
            self._alpha(theta),
            sample,
            self._batch_size(sample.n_train, stream),
            self.shuffle,
            past["random_state"],
            self._stopping(stream),
            validation,
            past,
        )

    def _checked(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        first: bool,
        past: dict[str, Any],
        held_out: tuple[Any, Any, Any],
    ) -> Checked:
        """Return validated data; inside of a group of ranks those of all of them."""
        check = functools.partial(self._check, X, y, sample_weight, reset=first)
        group = active_group()
        if group is None:
            return check()
        data, past["random_state"] = begin(check, group, self, held_out, first=first)
        return data

    def _forget(self) -> None:
        """Drop what an earlier fit learned."""
        forget(self, LEARNED)

    def _check(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Checked:
        return check_data(self, X, y, sample_weight, reset=reset, y_numeric=self._y_numeric)

    def _optimizer(self) -> Optimizer:
        optimizer = resolve_optimizer(self.optimizer)
        optimizer.validate()
        return optimizer

    def _start(self, data: Checked, past: dict[str, Any], first: bool) -> list[Tensor]:
        """Return theta and statistics to start from: new ones, or a copy of what was learned."""
        structure = self._new_structure(data.X)
        if first:
            architecture = prediction_architecture(structure)
            theta = torch.from_numpy(self._draw(architecture, past["random_state"]))
            statistics = architecture.initial(theta, 1)[1]
            dtype = floating_dtype(data.X)
        else:
            self._check_same_structure(structure)
            theta, statistics = past.get("last", (self._theta, self._statistics))
            dtype = floating_dtype(self._theta)
        self._structure = structure
        place = {"device": compute_device(data.border, self.device), "dtype": dtype}
        return [as_tensor(row, **place).clone().view(1, -1) for row in (theta, statistics)]

    def _alpha(self, theta: Tensor) -> float:
        if float(self.alpha) > torch.finfo(theta.dtype).max:
            raise ValueError(
                f"alpha={self.alpha:g} is beyond {str(theta.dtype).removeprefix('torch.')}, in "
                "which this fit computes. Lower it."
            )
        return float(self.alpha)

    def _new_structure(self, X: Any) -> Structure:
        """Return the structure that the parameters ask for, on validated rows."""
        return FeedForward(
            X.shape[1],
            self._hidden_layer_sizes(),
            self.n_outputs_,
            self.activation,
            bool(self.batch_norm),
            self._dropout(),
        )

    def _draw(self, architecture: Architecture, random_state: np.random.RandomState) -> np.ndarray:
        """Return initial parameters, ``(n_parameters,)`` in float64."""
        return glorot_uniform(
            architecture, random_state, 2.0 if self.activation == "logistic" else 6.0
        )

    def _read_off(self, sample: Sample, theta: Tensor, statistics: Tensor, first: bool) -> None:
        """Take note of the training rows before a run begins, and start from them if it is first.

        Theta and statistics may be changed in place.
        """

    def _reading(self) -> tuple:
        """Return the parameters on which it depends how X is read."""
        return ()

    def _dropout(self) -> tuple[float, ...]:
        """Return the drop probability of each hidden layer."""
        n_layers = len(self._hidden_layer_sizes())
        given = [self.dropout] * n_layers if isinstance(self.dropout, Real) else list(self.dropout)
        if len(given) != n_layers or not all(isinstance(p, Real) and 0 <= p < 1 for p in given):
            raise ValueError(
                f"dropout must be a probability in [0, 1), or one for each of the {n_layers} "
                f"hidden layers, got {self.dropout!r}."
            )
        return tuple(float(p) for p in given)

    def _check_same_structure(self, structure: Structure) -> None:
        before = self._structure.fixed()
        for name, value in structure.fixed().items():
            if value != before.get(name):
                raise ValueError(
                    f"{name} was {before.get(name)!r} in the fit that this one continues, and "
                    f"is now {value!r}. Set it back, or start afresh (warm_start=False and fit)."
                )

    def _batch_size(self, n_rows: int, stream: bool) -> int:
        if self.batch_size == "auto":
            whole = resolve_optimizer(self.optimizer).full_batch
            return n_rows if whole else min(200, n_rows)
        if self.batch_norm and self.batch_size == 1:
            raise ValueError(
                "batch_norm=True needs batches of two rows or more, got batch_size=1: a single "
                "row has no variance. Raise batch_size or set batch_norm=False."
            )
        if self.batch_size > n_rows and not stream:
            warnings.warn(
                f"batch_size={self.batch_size} is larger than the {n_rows} rows to train on; "
                f"every epoch is one batch of {n_rows}.",
                stacklevel=2,
            )
        return min(int(self.batch_size), n_rows)

    def _stopping(self, stream: bool) -> Stopping:
        return Stopping(
            1 if stream else self.max_iter,
            float(self.tol),
            self.n_iter_no_change,
            self.early_stopping,
            stream,
        )

    def _keep(self, replica: Replica, border: Border) -> None:
        """Set the fitted attributes, all at once; raise what the fit has failed by."""
        if replica.error is not None:
            raise replica.error
        vars(self).update(self._learned(replica.kept(), border))
        self._training = replica.export(border.as_caller)
        if self.warm_start:
            self._training["order"] = replica.order
        history = getattr(self, "_history", {name: [] for name in HISTORY})
        if not replica.stopping.stream:  # a stream's history grows in place, call by call
            history = {name: list(values) for name, values in history.items()}
        for name, values in replica.history.items():
            history.setdefault(name, []).extend(values)
        self._history = history
        self.loss_curve_, self.loss_ = history["loss"], history["loss"][-1]
        self.n_iter_ = replica.n_iter
        self.t_ = getattr(self, "t_", 0) + replica.n_iter * replica.sample.n_train
        self.n_layers_ = self._structure.n_layers
        scored = replica.stopping.by_score
        self.validation_scores_ = history["validation_score"] if scored else None
        self.best_validation_score_ = -replica.patience.best if scored else None
        self.best_loss_ = None if scored else min(replica.patience.best, self.loss_)
        vars(self).pop("should_stop_", None)
        if replica.stopping.stream:
            self.should_stop_ = replica.stalled

    def _learned(self, parameters: tuple[Tensor, Tensor], border: Border) -> dict[str, Any]:
        """Return the attributes that prediction needs."""
        theta, statistics = parameters
        return {
            "_theta": border.as_caller(theta[0]),
            "_statistics": border.as_caller(statistics[0]),
        }

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._sparse_input
        tags.array_api_support = True
        return tags
