"""Which rows are held out of training, and how the network is scored on them."""

import copy
from typing import Any, Self

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from torch import Tensor

from skbasics._arrays import Border, as_numpy
from skbasics._data import Checked, Sample, as_rows, as_weights, floating_dtype, select
from skbasics._stopping import Validation
from skbasics._training import Rows


class HoldOut:
    """The validation set of an estimator: the user's own, or a part of the training rows."""

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
        if (X_val is None) != (y_val is None):
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"fit was given {given} without {missing}; pass both or neither.")
        if X_val is None and weights_val is not None:
            raise ValueError("fit was given sample_weight_val without X_val and y_val; pass all.")
        if X_val is not None:
            data = self._check(X_val, y_val, weights_val, reset=False)
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
            raise ValueError(
                f"The validation set is too small: {len(test)} of {len(target)} rows at "
                f"validation_fraction={self.validation_fraction:g}, and two are needed. Raise "
                "validation_fraction, or pass X_val and y_val to fit."
            )
        return train, test

    def _validation(self, data: Checked, rows: Rows) -> Validation:
        self._loss().check_target(rows.y)
        weights = as_weights(data.weights, rows)
        if self.scoring is None:
            return Validation(rows, weights, lambda Z, _: self._default_score(Z, rows, weights))
        scorer = check_scoring(self, self.scoring)
        X = as_numpy(data.X)
        options = {} if data.weights is None else {"sample_weight": data.weights}

        def score(Z: Tensor, parameters: tuple[Tensor, Tensor]) -> float:
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

        return Validation(rows, weights, score)

    def _snapshot(self, parameters: tuple[Tensor, Tensor]) -> Self:
        """Return a copy of the estimator that predicts with the given parameters.

        It speaks NumPy whatever the caller does: not every metric understands tensors.
        """
        snapshot = copy.copy(self)
        vars(snapshot).update(self._learned(parameters, Border(np, None)))
        snapshot.device = parameters[0].device
        vars(snapshot).pop("feature_names_in_", None)  # it is given arrays, not data frames
        return snapshot
