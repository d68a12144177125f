"""Which rows a loss is for."""

from typing import Any

import scipy.sparse as sp

from skbasics._arrays import as_tensor

OTHERS = {"loss": "squared_error", "likelihood": "gaussian"}
"""What is for numbers of any size, by the parameter that says what features are."""

ROUNDING = 1e-6
"""How far beyond is taken for rounding, of which scalers do not keep within bounds."""


def check_between_0_and_1(X: Any, kind: str) -> None:
    """Raise unless all values, but missing ones, lie in [0, 1], as "bernoulli" demands.

    `kind` is the parameter that was set to it.
    """
    values = as_tensor(X.data if sp.issparse(X) else X)
    if not ((values < -ROUNDING) | (values > 1 + ROUNDING)).any():
        return
    values = values[~values.isnan()]
    raise ValueError(
        f"{kind}='bernoulli' models features between 0 and 1, and X goes from "
        f"{float(values.min()):g} to {float(values.max()):g}. Scale it (MinMaxScaler(clip=True) "
        f"before it, or X / 255 for pixels), or take {kind}={OTHERS[kind]!r}."
    )
