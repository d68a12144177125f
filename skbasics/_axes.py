"""What every display begins with."""

from typing import Any

from skbasics._sklearn import check_matplotlib_support


def take_axes(display: Any, ax: Any) -> None:
    """Set `ax_` and `figure_` of a display: where the caller says, or in a figure of its own."""
    check_matplotlib_support(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt

    display.ax_ = plt.subplots()[1] if ax is None else ax
    display.figure_ = display.ax_.figure
