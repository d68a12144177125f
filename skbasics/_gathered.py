"""The beginning of a fit that several ranks make together: what they agree on and gather."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from skbasics._agreement import Term, check_agreed, terms_of_data, terms_of_fit
from skbasics._arrays import as_tensor, compute_device, own_random_state
from skbasics._collective import Group
from skbasics._data import Checked
from skbasics._shards import Shard
from skbasics.network import CallableLoss
from skbasics.optim import FirstOrder, resolve_optimizer


def _check_possible(estimator: Any, first: bool) -> None:
    """Raise, with the smallest change that works, what ranks cannot do together."""
    optimizer = resolve_optimizer(estimator.optimizer)
    loss = getattr(estimator, "loss", None)
    reasons = {
        "warm_start=True on a fitted estimator": (not first, "fit a clone(estimator)"),
        f"optimizer={type(optimizer).__name__}": (
            not isinstance(optimizer, FirstOrder),
            "take a first-order rule, optimizer='adam'",
        ),
        "a callable activation": (callable(estimator.activation), "name one: activation='relu'"),
        "a callable loss": (
            callable(loss) or isinstance(loss, CallableLoss),
            "take a value such as loss='huber'",
        ),
        "a callable augment": (
            callable(getattr(estimator, "augment", None)),
            "name one, augment='shift' or 'flip', or None",
        ),
        f"scoring={getattr(estimator, 'scoring', None)!r}": (
            getattr(estimator, "scoring", None) is not None,
            "take the default, scoring=None",
        ),
        "an estimator with callbacks": (
            bool(getattr(estimator, "_skl_callbacks", None)),
            "fit a clone without set_callbacks",
        ),
    }
    for what, (applies, change) in reasons.items():
        if applies:
            raise NotImplementedError(
                f"{type(estimator).__name__}.fit with {what} cannot be data-parallel, because "
                f"ranks see their own rows alone: {change}, or fit outside of data_parallel."
            )


def begin(
    check: Callable[[], Checked],
    group: Group,
    estimator: Any,
    held_out: tuple[Any, ...],
    *,
    first: bool,
) -> tuple[Checked, np.random.RandomState]:
    """Return the data of all ranks, and the random state of the first, when all agree on a fit.

    Parameters
    ----------
    check : callable
        Validates this rank's data.
    group : Group
    estimator : estimator
    held_out : tuple
        Validation data, of which only who has some is looked at.
    first : bool
        Whether it is fitted from nothing.

    Raises
    ------
    NotImplementedError
        On a rank whose parameters ask for what ranks cannot do together.
    Exception
        What `check` has raised, on a rank where it has.
    ValueError
        If another rank has failed, or the ranks do not agree.
    """

    def checked() -> Checked:
        _check_possible(estimator, first)
        data = check()
        compute_device(data.border, estimator.device)  # raises if there is none
        return data

    state = own_random_state(estimator.random_state)
    data, states = _exchanged(checked, group, lambda: terms_of_fit(estimator, held_out), state)
    return data, states[0]


def gathered(check: Callable[[], Checked], group: Group) -> Checked:
    """Return the data of all ranks as those of the first, the second and so on.

    X is a `Shard`, and remains where it is; the targets and weights of all rows are everywhere.
    """
    return _exchanged(check, group, dict, None)[0]


def _exchanged(
    check: Callable[[], Checked], group: Group, terms: Callable[[], dict[str, Term]], more: Any
) -> tuple[Checked, list[Any]]:
    try:
        data, failure = check(), None
        _refuse_sparse(data)
        mine = {"terms": terms_of_data(data) | terms(), "y": data.y, "weights": data.weights}
    except Exception as error:
        mine, failure = {"error": f"{type(error).__name__}: {error}"}, error
    ranks = group.gather(mine | {"more": more})
    group.agreed = False
    if failure is not None:
        raise failure
    _check_begun(ranks)
    check_agreed([rank["terms"] for rank in ranks])
    group.agreed = True
    sizes = [rank["y"].shape[0] for rank in ranks]
    start = sum(sizes[: group.rank])
    places = np.arange(start, start + sizes[group.rank])
    X = Shard(as_tensor(data.X), places, sum(sizes), group)
    whole = replace(data, X=X, y=_joined(ranks), weights=_joined_weights(ranks))
    return whole, [rank["more"] for rank in ranks]


def _check_begun(ranks: list[dict[str, Any]]) -> None:
    """Raise if a rank has failed."""
    for number, rank in enumerate(ranks):
        if "error" in rank:
            raise ValueError(
                f"Rank {number} could not begin this fit, and so no rank has: {rank['error']}"
            )


def _refuse_sparse(data: Checked) -> None:
    if sp.issparse(data.X):
        raise NotImplementedError(
            "Sparse X cannot be data-parallel. Pass X.toarray(), or fit outside of data_parallel."
        )


def _joined(ranks: list[dict[str, Any]]) -> Any:
    parts = [rank["y"] for rank in ranks]
    return sp.vstack(parts, format="csr") if sp.issparse(parts[0]) else np.concatenate(parts)


def _joined_weights(ranks: list[dict[str, Any]]) -> np.ndarray | None:
    if all(rank["weights"] is None for rank in ranks):
        return None
    return np.concatenate(
        [
            np.ones(rank["y"].shape[0]) if rank["weights"] is None else rank["weights"]
            for rank in ranks
        ]
    )
