"""The loss of fits over their epochs."""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from sklearn.exceptions import NotFittedError

from skbasics._axes import take_axes
from skbasics._inner import innermost
from skbasics._sklearn import check_matplotlib_support


class LossCurveDisplay:
    """The loss over the epochs, of one fit or of all folds of a cross-validation.

    The training loss is drawn in full and the validation loss, where there is one, dashed. Of
    several fits there is a thin line each, and a thick one of their mean, as far as all of them
    were trained.

    Make one with `from_estimator`, or with `from_estimators`.

    Parameters
    ----------
    training : list of ndarray of shape (n_epochs,)
        The training loss of each fit.
    validation : list of ndarray of shape (n_epochs,)
        The validation loss of each fit; empty where there is none.
    name : str or None, default=None
        What was fitted, for the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        The figure of that.
    lines_ : dict of list of matplotlib Line2D
        The lines of the fits: "training" and, where there is one, "validation".
    mean_lines_ : dict of matplotlib Line2D
        The means of several fits, by the same names.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from sklearn.datasets import load_iris
    >>> from skbasics import LossCurveDisplay, MLPClassifier, cross_validate
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((8,), tol=0, max_iter=20, n_iter_no_change=20, random_state=0)
    >>> folds = cross_validate(network, X, y, cv=3, return_estimator=True)["estimator"]
    >>> display = LossCurveDisplay.from_estimators(folds)
    >>> len(display.lines_["training"])
    3
    """

    def __init__(
        self,
        *,
        training: list[np.ndarray],
        validation: list[np.ndarray],
        name: str | None = None,
    ) -> None:
        self.training, self.validation, self.name = training, validation, name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, ax: Any = None, **options: Any
    ) -> Self:
        """Draw the losses of a fit.

        Parameters
        ----------
        estimator : estimator
            Fitted; of a pipeline the last step counts, of a search the best estimator.
        name : str or None, default=None
            What to call it; None is the name of its class.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **options : dict
            Keywords of `plot`.

        Returns
        -------
        display : LossCurveDisplay

        Raises
        ------
        TypeError
            If the estimator records no loss.
        """
        return cls.from_estimators([estimator], name=name, ax=ax, **options)

    @classmethod
    def from_estimators(
        cls, estimators: Iterable[Any], *, name: str | None = None, ax: Any = None, **options: Any
    ) -> Self:
        """Draw the losses of several fits of one kind, such as the folds of a cross-validation.

        Parameters
        ----------
        estimators : iterable of estimator
            As in ``cross_validate(..., return_estimator=True)["estimator"]``.
        name, ax, **options
            As in `from_estimator`.

        Returns
        -------
        display : LossCurveDisplay

        Raises
        ------
        TypeError
            If one of the estimators records no loss.
        ValueError
            If there is none.
        """
        check_matplotlib_support(cls.__name__)
        if hasattr(estimators, "fit") and not isinstance(estimators, (list, tuple)):
            raise TypeError(
                "from_estimators takes a list of fitted estimators, got one "
                f"{type(estimators).__name__}. Use from_estimator for it."
            )
        if isinstance(estimators, dict):
            raise TypeError(
                'from_estimators takes fitted estimators: pass scores["estimator"], with '
                "cross_validate(..., return_estimator=True)."
            )
        networks = [innermost(estimator)[0] for estimator in estimators]
        if not networks:
            raise ValueError("There is no fit to show: pass one fitted estimator or more.")
        training = [_training_loss(network) for network in networks]
        validation = [_validation_loss(network) for network in networks]
        name = type(networks[0]).__name__ if name is None else name
        shown = validation if all(map(len, validation)) else []
        return cls(training=training, validation=shown, name=name).plot(ax, **options)

    def plot(self, ax: Any = None, *, logarithmic: bool = False, legend: bool = True) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure. Displays in the same Axes get colours of their
            own.
        logarithmic : bool, default=False
            Whether equal factors of the loss are equally far apart.
        legend : bool, default=True
            Whether to name the curves.

        Returns
        -------
        self : object
            The display.
        """
        take_axes(self, ax)
        self.lines_, self.mean_lines_ = {}, {}
        colour = f"C{self._n_displayed()}"
        self._plot_curves("training", self.training, color=colour)
        if self.validation:
            self._plot_curves("validation", self.validation, color=colour, linestyle="--")
        self.ax_.set(xlabel="epoch", ylabel="loss")
        if logarithmic:
            self.ax_.set_yscale("log")
        if legend:
            self.ax_.legend(loc="best", fontsize="small")
        return self

    def _n_displayed(self) -> int:
        """Return how many colours the lines of the Axes have taken."""
        return len({line.get_color() for line in self.ax_.lines})

    def _plot_curves(self, kind: str, curves: list[np.ndarray], **look: Any) -> None:
        label = kind if self.name is None else f"{self.name}, {kind}"
        several = len(curves) > 1
        look |= {"linewidth": 0.8, "alpha": 0.5} if several else {"label": label}
        self.lines_[kind] = [
            self.ax_.plot(np.arange(1, len(curve) + 1), curve, **look)[0] for curve in curves
        ]
        if several:
            made = min(map(len, curves))
            mean = np.mean([curve[:made] for curve in curves], axis=0)
            look |= {"linewidth": 2, "alpha": 1, "label": f"{label}, mean of {len(curves)}"}
            (self.mean_lines_[kind],) = self.ax_.plot(np.arange(1, made + 1), mean, **look)


def _training_loss(network: Any) -> np.ndarray:
    if hasattr(network, "loss_curve_"):
        return np.asarray(network.loss_curve_, dtype=float)
    name = type(network).__name__
    if not any(attribute.endswith("_") for attribute in vars(network)):
        raise NotFittedError(f"This {name} is not fitted, so it has no loss to show. Call fit.")
    raise TypeError(
        f"{name} has no loss_curve_: its fit is not one of epochs, or does not record them (as "
        "scikit-learn's MLP with solver='lbfgs'). Show a network of skbasics, for example."
    )


def _validation_loss(network: Any) -> np.ndarray:
    """Return the validation loss of each epoch, empty where nothing was held out."""
    losses = np.asarray(getattr(network, "history_", {}).get("validation_loss", []), dtype=float)
    return losses if np.isfinite(losses).any() else losses[:0]
