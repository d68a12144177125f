"""Noise, bias and variance on top of each other, along a parameter."""

from collections.abc import Iterable
from numbers import Real
from typing import Any, Self

import numpy as np

from skbasics._axes import take_axes
from skbasics._sklearn import check_matplotlib_support
from skbasics.model_selection import BiasVarianceCurve, bias_variance_curve

TERMS = {"noise": "0.75", "bias": "tab:blue", "variance": "tab:orange"}
LOG_SPAN = 50
"""Positive values that span this factor are shown on a logarithmic axis."""


class BiasVarianceDisplay:
    """The terms of a bias-variance curve, stacked, with bands of error.

    Make one with `from_estimator` or `from_curve`.

    Parameters
    ----------
    curve : BiasVarianceCurve
        The terms at each value.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        The figure of that.
    areas_ : dict of str to matplotlib PolyCollection
        The terms "noise", "bias" and "variance"; one that is nothing everywhere has none.
    bands_ : dict of str to matplotlib PolyCollection
        The band of error about the upper edge of each; the topmost, "expected_loss", is that of
        the sum.
    line_ : matplotlib Line2D
        The expected loss.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from sklearn.datasets import make_friedman1
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from skbasics.plots import BiasVarianceDisplay
    >>> X, y = make_friedman1(100, random_state=0)
    >>> display = BiasVarianceDisplay.from_estimator(
    ...     DecisionTreeRegressor(), X, y, param_name="max_depth", param_range=[1, 3, 9],
    ...     n_rounds=10, random_state=0,
    ... )
    >>> display.ax_.get_xlabel()
    'max_depth'
    """

    def __init__(self, *, curve: BiasVarianceCurve) -> None:
        self.curve = curve

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        param_name: str,
        param_range: Iterable[Any],
        ax: Any = None,
        n_errors: float = 2.0,
        log_scale: bool | None = None,
        legend: bool = True,
        **options: Any,
    ) -> Self:
        """Make the experiment and draw it.

        Parameters
        ----------
        estimator : estimator
            Any, not fitted; it stays as it is.
        X, y : array-like
            As in `bias_variance_decomposition`.
        param_name : str
            The parameter of complexity.
        param_range : iterable
            Its values.
        ax, n_errors, log_scale, legend
            As in `plot`.
        **options : dict
            Keywords of `bias_variance_curve`: `loss`, `n_rounds`, `true_values`, ...

        Returns
        -------
        display : BiasVarianceDisplay
        """
        check_matplotlib_support(cls.__name__)
        curve = bias_variance_curve(
            estimator, X, y, param_name=param_name, param_range=param_range, **options
        )
        return cls(curve=curve).plot(ax, n_errors=n_errors, log_scale=log_scale, legend=legend)

    @classmethod
    def from_curve(cls, curve: BiasVarianceCurve, *, ax: Any = None, **options: Any) -> Self:
        """Draw what `bias_variance_curve` returned.

        Parameters
        ----------
        curve : BiasVarianceCurve
            The terms at each value.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **options : dict
            Keywords of `plot`.

        Returns
        -------
        display : BiasVarianceDisplay
        """
        if not isinstance(curve, BiasVarianceCurve):
            raise ValueError(
                "from_curve takes what bias_variance_curve returns, got "
                f"{type(curve).__name__}. One decomposition alone is no curve."
            )
        return cls(curve=curve).plot(ax, **options)

    def plot(
        self,
        ax: Any = None,
        *,
        n_errors: float = 2.0,
        log_scale: bool | None = None,
        legend: bool = True,
    ) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        n_errors : float, default=2.0
            Half the height of a band, in standard errors of the term below the edge; 0 draws none.
        log_scale : bool or None, default=None
            Whether the parameter's axis is logarithmic; None decides by the values.
        legend : bool, default=True
            Whether to name the terms.

        Returns
        -------
        self : object
            The display.
        """
        take_axes(self, ax)
        x = self._positions(log_scale)
        order = np.argsort(x, kind="stable")
        x = x[order]
        self.areas_, self.bands_ = {}, {}
        edge = np.zeros(len(x))
        squared = self.curve.results[0].loss == "squared_error"
        for name, colour in TERMS.items():
            values = getattr(self.curve, name)[order]
            if not values.any():
                continue
            label = "squared bias" if squared and name == "bias" else name
            self.areas_[name] = self.ax_.fill_between(
                x, edge, edge + values, color=colour, alpha=0.45, linewidth=0, label=label
            )
            edge = edge + values
            if name != "variance":
                self._band(name, x, edge, colour, n_errors, order)
        loss = self.curve.expected_loss[order]
        (self.line_,) = self.ax_.plot(x, loss, "k.-", linewidth=1.2, label="expected loss")
        self._band("expected_loss", x, loss, "black", n_errors, order)
        self.ax_.set(xlabel=self.curve.param_name, ylabel=self._loss_label())
        self.ax_.margins(x=0)
        if legend:
            self.ax_.legend(loc="best", fontsize="small")
        return self

    def _loss_label(self) -> str:
        return f"expected loss ({self.curve.results[0].loss.replace('_', ' ')})"

    def _band(
        self, name: str, x: np.ndarray, edge: np.ndarray, colour: str, n: float, order: np.ndarray
    ) -> None:
        errors = n * np.nan_to_num(self.curve.standard_errors[name])[order]
        alpha = 0.15 if name == "expected_loss" else 0.35  # this one lies on all the others
        if errors.any():
            self.bands_[name] = self.ax_.fill_between(
                x, edge - errors, edge + errors, color=colour, alpha=alpha, linewidth=0
            )

    def _positions(self, log_scale: bool | None) -> np.ndarray:
        """Return where the values lie: at themselves if they are numbers, else at their places."""
        values = self.curve.param_range
        if not all(isinstance(v, Real) and not isinstance(v, bool) for v in values):
            self.ax_.set_xticks(range(len(values)), [str(value) for value in values])
            return np.arange(len(values), dtype=float)
        x = np.array(values, dtype=float)
        if log_scale or (log_scale is None and x.min() > 0 and x.max() >= LOG_SPAN * x.min()):
            self.ax_.set_xscale("log")
        return x
