"""Which rows a loss is for."""

from typing import Any

import scipy.sparse as sp

from skbasics._arrays import as_tensor

OTHERS = {"loss": "squared_error", "likelihood": "gaussian"}
"""What is for numbers of any size, by the parameter that says what features are."""

ROUNDING = 1e-6
"""How far beyond is taken for rounding, of which scalers do not keep within bounds."""


def check_between_0_and_1(X: Any, kind: str, *, fitted: bool = False) -> None:
    """Raise unless all values, but missing ones, lie in [0, 1], as "bernoulli" demands.

    `kind` is the parameter that was set to it; of a model that is `fitted` it cannot be changed.
    """
    values = as_tensor(X.data if sp.issparse(X) else X)
    if not ((values < -ROUNDING) | (values > 1 + ROUNDING)).any():
        return
    values = values[~values.isnan()]
    ends = [float(values.min()), float(values.max())]
    if sp.issparse(X) and X.nnz < X.shape[0] * X.shape[1]:
        ends = [min(ends[0], 0.0), max(ends[1], 0.0)]
    other = "" if fitted else f", or take {kind}={OTHERS[kind]!r}"
    raise ValueError(
        f"{kind}='bernoulli' models features between 0 and 1, and X goes from {ends[0]:g} to "
        f"{ends[1]:g}. Scale it (MinMaxScaler(clip=True) before it, or X / 255 for pixels){other}."
    )
