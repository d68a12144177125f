"""From validated data to rows that can be swept, and the mixtures to start from."""

from typing import Any, NamedTuple

import numpy as np
import torch

from skbasics._arrays import as_numpy, as_tensor, own_random_state
from skbasics._data import as_weights, check_weights
from skbasics._training import Rows as TrainingRows
from skbasics.variational._mixture._mixture_models import Mixture, Model, Summary, summarise
from skbasics.variational._mixture._starts import Distinct, distinct, responsibilities
from skbasics.variational._mixture._sweep import Rows


class Prepared(NamedTuple):
    """Data of a fit.

    Attributes
    ----------
    found : Distinct
        The distinct rows less their mean, and their weights.
    rows : Rows
        The same as a tensor.
    location : ndarray of shape (n_features,)
        What was taken off.
    """

    found: Distinct
    rows: Rows
    location: np.ndarray


def prepared(X: Any, sample_weight: Any, n_components: int, device: torch.device) -> Prepared:
    """Return the distinct rows that count, about their mean.

    Raises
    ------
    ValueError
        If there are fewer rows than components, or they are too large to be centred.
    """
    X, weights = as_numpy(X), None
    if sample_weight is not None:
        counted, weights = check_weights(sample_weight, X)
        X = X if counted is None else X[counted]
    found = distinct(X, weights)
    total = float(found.weights.sum())
    if max(len(X), total) < n_components:
        raise ValueError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, "
            f"n_samples = {len(X)}. Ask for fewer components, or give more rows."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        share = found.weights / total
        location = (share @ found.X).astype(found.X.dtype)
        found = Distinct(found.X - location, found.weights)
        if not np.isfinite(np.square(found.X).sum()):
            raise ValueError(
                f"X is too widely spread for {X.dtype}: its squares overflow. Scale its features, "
                "for instance by StandardScaler."
            )
    columns = as_tensor(found.X.T, device=device)
    tensor = as_weights(found.weights, TrainingRows(columns, columns))
    return Prepared(found, Rows(columns, tensor, total), location)


def drawn_starts(estimator: Any, data: Prepared, model: Model) -> Mixture:
    """Return the mixtures that the first responsibilities make, one a start."""
    rng = own_random_state(estimator.random_state)
    parts = []
    for _ in range(estimator.n_init):
        r = responsibilities(data.found, int(estimator.n_components), estimator.init_params, rng)
        r = as_tensor(r, device=data.rows.X.device, dtype=data.rows.X.dtype)[None]
        if estimator.init_params in ("k-means++", "random_from_data"):
            r /= 1 if data.rows.weights is None else data.rows.weights  # one row each, and once
        parts.append(summarise(data.rows, model.covariances, r))
    return model.update(Summary(*(torch.cat(stack) for stack in zip(*parts, strict=True))))
