"""What a correspondence analysis has seen: rows come in by batches and are merged."""

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skbasics._arrays import CPU, Border, as_numpy, as_tensor, compute_device
from skbasics._data import finite_weights, floating_dtype, unless_ones
from skbasics._merging import Mergeable
from skbasics._sklearn import check_same_namespace, validate_data
from skbasics.decomposition._described import OF_THE_AXES, OF_THE_ROWS
from skbasics.decomposition._profiles import Profiles, Table


def convert(value: Any, how: Callable) -> Any:
    """Return a dataclass with its arrays and tensors, nested ones too, converted."""
    if is_dataclass(value):
        parts = {field.name: convert(getattr(value, field.name), how) for field in fields(value)}
        return replace(value, **parts)
    return how(value) if isinstance(value, (np.ndarray, Tensor)) else value


def to_device(value: Any, device: torch.device) -> Any:
    """Return a dataclass with its arrays as tensors on a device."""
    return convert(value, lambda array: as_tensor(array, device=device))


class SeenTables(Mergeable):
    """The rows seen so far as a `Table`; a subclass finds in it what is asked for (`_solve`).

    Private attributes: ``_table``; ``_rows``, the rows seen last, until they are described;
    ``_like``, an empty array of the namespace, device and dtype of the first table.
    """

    _merge_settings = ("n_components", "scaling")

    def __sklearn_is_fitted__(self) -> bool:
        return "_table" in vars(self)

    def _see(self, X: Any, sample_weight: Any, *, first: bool) -> None:
        """Validate a table and add its rows to those seen."""
        if not first:
            check_same_namespace(X, self, attribute="_like", method="partial_fit")
        X, border, device = self._check(X, reset=first)
        weights = None
        if sample_weight is not None:
            weights = unless_ones(finite_weights(sample_weight, X))
        rows = Profiles.of(X, weights, device)
        _check_finite(rows.masses.sum())
        table = Table.of(rows)
        if first:
            dtype = floating_dtype(X)
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
            seen = f"{self._table.n_parts} were merged"
            if self._table.n_parts == 1:
                seen = "those of this one were not kept"
            raise AttributeError(
                f"{name} is about the rows of one table, and {seen}. "
                "Call transform for the coordinates of any rows."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _drop_rows(self) -> None:
        vars(self).pop("_rows", None)

    def _join(self, other: Self) -> None:
        device = as_tensor(self._like).device
        parts = (to_device(estimator._table, device) for estimator in (self, other))
        self._keep(Table.join(*parts))


def _check_finite(total: Tensor | float) -> None:
    if not math.isfinite(total):
        raise ValueError(
            "The sum of the table is not finite. Only proportions matter: divide the table (and "
            "all that is merged with it) by its largest entry."
        )
