"""What a correspondence analysis has seen: rows come in by batches and are merged."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skbasics._arrays import CPU, Border, as_numpy, as_tensor, compute_device
from skbasics._atomic import atomic
from skbasics._sklearn import (
    check_same_namespace,
    check_sample_weight,
    fit_context,
    validate_data,
)
from skbasics.decomposition._described import OF_THE_AXES, OF_THE_ROWS
from skbasics.decomposition._profiles import Profiles, Table


def learning(method: Callable) -> Callable:
    """Decorate a method that learns: parameters checked, no trace left if it fails."""
    return atomic(fit_context(prefer_skip_nested_validation=True)(method))


def convert(value: Any, how: Callable) -> Any:
    """Return a dataclass with its arrays and tensors, nested ones too, converted."""
    if is_dataclass(value):
        parts = {field.name: convert(getattr(value, field.name), how) for field in fields(value)}
        return replace(value, **parts)
    return how(value) if isinstance(value, (np.ndarray, Tensor)) else value


def to_device(value: Any, device: torch.device) -> Any:
    """Return a dataclass with its arrays as tensors on a device."""
    return convert(value, lambda array: as_tensor(array, device=device))


class SeenTables:
    """The rows seen so far as a `Table`; a subclass finds in it what is asked for (`_solve`).

    Private attributes: ``_table``; ``_rows``, the rows seen last, until they are described;
    ``_like``, an empty array of the namespace, device and dtype of the first table.
    """

    def __sklearn_is_fitted__(self) -> bool:
        return "_table" in vars(self)

    def _see(self, X: Any, sample_weight: Any, *, first: bool) -> None:
        """Validate a table and add its rows to those seen."""
        if not first:
            check_same_namespace(X, self, attribute="_like", method="partial_fit")
        X, border, device = self._check(X, reset=first)
        rows = Profiles.of(X, _weights(sample_weight, X), device)
        _check_finite(rows.masses.sum())
        table = Table.of(rows)
        if first:
            dtype = getattr(torch, str(X.dtype).rpartition(".")[2])
            self._like = border.as_caller(torch.empty(0, dtype=dtype))
        else:
            table = to_device(self._table, device).join(table)
        if table.occupied == 0:
            raise ValueError(
                "The table sums to zero: it has no profiles to compare. Pass at least one row "
                "with a positive entry and a positive weight."
            )
        self._keep(table)
        self._rows = self._stored(rows)

    def _check(self, X: Any, *, reset: bool) -> tuple[Any, Border, torch.device]:
        """Return rows as scikit-learn validates them, their border, and where to compute."""
        border = Border.of(X)
        X = validate_data(
            self,
            X,
            accept_sparse="csr",
            dtype=[border.xp.float64, border.xp.float32],
            ensure_non_negative=True,
            reset=reset,
        )
        return X, border, CPU if sp.issparse(X) else compute_device(border, self.device)

    def _keep(self, table: Table) -> None:
        """Replace the table, and forget what was found in the one before."""
        _check_finite(table.total)
        for name in (*OF_THE_AXES, *OF_THE_ROWS, "_rows"):
            vars(self).pop(name, None)
        self._table = self._stored(table)

    def _stored(self, value: Any) -> Any:
        """Return a dataclass with its tensors as they are stored: torch's only for torch's."""
        border = Border.like(self._like)
        if border.is_torch:
            return to_device(value, border.device)
        return convert(value, as_numpy)

    def __getattr__(self, name: str) -> Any:
        """Find the axes when they are first asked for."""
        if self.__sklearn_is_fitted__() and name in OF_THE_AXES + OF_THE_ROWS:
            if "_axes" not in vars(self):
                self._solve()
                return getattr(self, name)
            if name in vars(self):
                return vars(self)[name]
            raise AttributeError(
                f"{name} is about the rows of one table, and {self._table.n_parts} were merged. "
                "Call transform for the coordinates of any rows."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def merge(self, other: Self) -> Self:
        """Add the rows that another estimator has seen, exactly.

        Parameters
        ----------
        other : CorrespondenceAnalysis
            Fitted with the same settings on the same columns; it is left as it is.

        Returns
        -------
        self : object
            The analysis of all rows; the axes are found when they are first asked for.

        Raises
        ------
        ValueError
            If the settings or the columns differ, or the sum of both tables is not finite.
        """
        check_is_fitted(self)
        self._check_mergeable(other)
        device = as_tensor(self._like).device
        parts = (to_device(estimator._table, device) for estimator in (self, other))
        self._keep(Table.join(*parts))
        return self

    def _check_mergeable(self, other: Any) -> None:
        if not isinstance(other, type(self)):
            raise TypeError(
                f"{type(self).__name__} merges with its own kind, not with {type(other).__name__}."
            )
        check_is_fitted(other)
        for name in ("n_components", "scaling"):
            mine, its = getattr(self, name), getattr(other, name)
            if mine != its:
                raise ValueError(
                    f"cannot merge: {name} is {mine!r} here and {its!r} there. Set them alike."
                )
        if self.n_features_in_ != other.n_features_in_:
            raise ValueError(
                f"cannot merge: this table has {self.n_features_in_} columns and the other "
                f"{other.n_features_in_}."
            )
        names = [getattr(part, "feature_names_in_", None) for part in (self, other)]
        if all(name is not None for name in names) and list(names[0]) != list(names[1]):
            raise ValueError(
                f"cannot merge: the columns are {list(names[0])} here and {list(names[1])} there. "
                "Put them in one order."
            )

    def __add__(self, other: Any) -> Self:
        if not isinstance(other, SeenTables):
            return NotImplemented
        return deepcopy(self).merge(other)

    def __radd__(self, other: Any) -> Self:
        if not (isinstance(other, int) and other == 0):  # where sum() starts
            return NotImplemented
        return deepcopy(self)


def _check_finite(total: Tensor | float) -> None:
    if not math.isfinite(total):
        raise ValueError(
            "The sum of the table is not finite. Only proportions matter: divide the table (and "
            "all that is merged with it) by its largest entry."
        )


def _weights(sample_weight: Any, X: Any) -> np.ndarray | None:
    """Return weights in float64; None if every row counts once."""
    if sample_weight is None:
        return None
    weights = as_numpy(check_sample_weight(sample_weight, X, ensure_non_negative=True))
    return None if (weights == 1).all() else weights.astype(np.float64)
