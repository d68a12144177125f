"""Which rows are held out of training, and how the network is scored on them."""

import copy
import functools
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import train_test_split
from torch import Tensor

from skbasics._arrays import Border, as_numpy, weighted_mean
from skbasics._data import Checked, Sample, as_rows, as_weights, floating_dtype, select
from skbasics._fitted import prediction_architecture
from skbasics._gathered import gathered
from skbasics._shards import Shard
from skbasics._sklearn import StrOptions
from skbasics._stopping import Validation
from skbasics._training import Rows, predict_rows

SCORING: dict[str, list] = {"scoring": [StrOptions(set(get_scorer_names())), callable, None]}
"""The constraints of the parameter `scoring`."""

Parameters = tuple[torch.Tensor, torch.Tensor]
"""Theta and the running statistics, as rows of a stack of one."""


class HoldOut:
    """The validation set of an estimator: the user's own, or a part of the training rows.

    With targets, the estimator's `_default_score` scores logits ``(n, n_outputs)`` against encoded
    targets where there is no other `scoring`; without, it overrides `_measure`.
    """

    _has_targets: ClassVar[bool] = True

    def _hold_out(
        self,
        data: Checked,
        sample: Sample,
        held_out: tuple[Any, Any, Any],
        past: dict[str, Any],
        stream: bool,
    ) -> tuple[np.ndarray | None, Validation | None]:
        """Return the rows to train on (None: all), and what to validate on."""
        X_val, y_val, weights_val = held_out
        if self._has_targets and (X_val is None) != (y_val is None):
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"fit was given {given} without {missing}; pass both or neither.")
        if X_val is None and weights_val is not None:
            missing = "X_val and y_val" if self._has_targets else "X_val"
            raise ValueError(f"fit was given sample_weight_val without {missing}; pass all.")
        if X_val is not None:
            check = functools.partial(self._check, X_val, y_val, weights_val, reset=False)
            data = check() if not isinstance(sample.X, Shard) else gathered(check, sample.X.group)
            target = self._encode(data.y, learn=False)
            rows = as_rows(data.X, target, sample.target.device, floating_dtype(sample.X))
            return None, self._validation(data, rows)
        if stream or not self.early_stopping:
            return None, None
        train, test = self._split(sample.target, past)
        weights = None if data.weights is None else data.weights[test]
        numbers = sample.numbers(test)
        held = Checked(select(data.X, numbers), data.y[test], weights, data.border)
        return train, self._validation(held, Rows(select(sample.X, numbers), sample.target[test]))

    def _split(self, target: Tensor, past: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Split row numbers, in every continuation of a fit as in its first call."""
        if "split_state" in past:
            random_state = np.random.RandomState()
            random_state.set_state(past["split_state"])
        else:
            random_state = past["random_state"]
            past["split_state"] = random_state.get_state(legacy=True)
        train, test = train_test_split(
            np.arange(len(target)),
            test_size=self.validation_fraction,
            random_state=random_state,
            stratify=self._stratify(target.cpu().numpy()),
        )
        if len(test) < 2:
            own = "X_val and y_val" if self._has_targets else "X_val"
            raise ValueError(
                f"The validation set is too small: {len(test)} of {len(target)} rows at "
                f"validation_fraction={self.validation_fraction:g}, and two are needed. Raise "
                f"validation_fraction, or pass {own} to fit."
            )
        return train, test

    def _validation(self, data: Checked, rows: Rows) -> Validation:
        self._loss().check_target(rows.y)
        return Validation(rows, self._measure(data, rows, as_weights(data.weights, rows)))

    def _measure(
        self, data: Checked, rows: Rows, weights: Tensor | None
    ) -> Callable[[Parameters], tuple[float, float]]:
        """Return the function from parameters to the loss and the score on validation rows."""
        architecture, loss = prediction_architecture(self._structure), self._loss()
        score = self._scorer(data)

        @torch.no_grad()
        def measure(parameters: Parameters) -> tuple[float, float]:
            apply = functools.partial(architecture.apply, *parameters)
            Z = predict_rows(apply, rows.X, parameters[0], architecture.widest)
            mean = weighted_mean(loss.rows(Z[None], rows.y[None])[0], weights)
            if score is None:
                return mean, self._default_score(Z, rows, weights)
            return mean, score(parameters)

        return measure

    def _scorer(self, data: Checked) -> Callable[[Parameters], float] | None:
        """Return the user's metric as a function of parameters; None is the default score."""
        if self.scoring is None:
            return None
        scorer = check_scoring(self, self.scoring)
        X = as_numpy(data.X)
        options = {} if data.weights is None else {"sample_weight": data.weights}

        def score(parameters: Parameters) -> float:
            try:
                return float(scorer(self._snapshot(parameters), X, data.y, **options))
            except TypeError as error:
                if options and "sample_weight" in str(error):
                    raise ValueError(
                        f"scoring={self.scoring!r} takes no sample_weight, and the validation "
                        "rows have weights. Use a metric that takes them, or pass X_val and "
                        "y_val without sample_weight_val."
                    ) from error
                raise

        return score

    def _snapshot(self, parameters: Parameters) -> Self:
        """Return a copy of the estimator that predicts with the given parameters.

        It speaks NumPy whatever the caller does: not every metric understands tensors.
        """
        snapshot = copy.copy(self)
        vars(snapshot).update(self._learned(parameters, Border(np, None)))
        snapshot.device = parameters[0].device
        vars(snapshot).pop("feature_names_in_", None)  # it is given arrays, not data frames
        return snapshot
