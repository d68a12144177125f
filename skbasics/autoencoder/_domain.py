"""Which rows a loss is for."""

from typing import Any

import scipy.sparse as sp

from skbasics._arrays import as_tensor


def check_between_0_and_1(X: Any, given: str) -> None:
    """Raise unless all values, but missing ones, lie in [0, 1]; `given` is what demands it."""
    values = as_tensor(X.data if sp.issparse(X) else X)
    if not ((values < 0) | (values > 1)).any():
        return
    values = values[~values.isnan()]
    raise ValueError(
        f"{given} models features between 0 and 1, and X goes from {float(values.min()):g} to "
        f"{float(values.max()):g}. Scale it (MinMaxScaler before it, or X / 255 for pixels), or "
        f"take {given.partition('=')[0]}='{OTHER[given.partition('=')[0]]}'."
    )


OTHER = {"loss": "squared_error", "likelihood": "gaussian"}
"""What is for numbers of any size, by the parameter."""
