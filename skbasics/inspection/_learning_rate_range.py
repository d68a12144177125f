"""What a learning rate range test found."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from skbasics._axes import take_axes


@dataclass(eq=False, repr=False)
class LearningRateRange:
    """The loss while the learning rate grows, step by step.

    Attributes
    ----------
    name : str
        The class of the estimator.
    optimizer : str
        The rule that made the steps.
    learning_rates : ndarray of shape (n_steps,)
        The rate of each step that was made; fewer than asked for where the loss exploded.
    losses : ndarray of shape (n_steps,)
        The loss of the step's batch before the step.
    smoothed_losses : ndarray of shape (n_steps,)
        Their running median.
    least : float
        The rate at which the smoothed loss was least: the first that did not lower it further.
    steepest : float
        The rate up to there at which it fell fastest, by the logarithm of the rate.
    suggested : float
        A tenth of `least`.
    ax_ : matplotlib Axes
        After `plot`: where it was drawn.
    figure_ : matplotlib Figure
        The figure of that.
    lines_ : dict of matplotlib Line2D
        "losses", "smoothed_losses" and "suggested".

    See Also
    --------
    learning_rate_range_test : Makes one.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from sklearn.datasets import load_digits
    >>> from skbasics import MLPClassifier, learning_rate_range_test
    >>> X, y = load_digits(return_X_y=True)
    >>> network = MLPClassifier((30,), random_state=0)
    >>> found = learning_rate_range_test(network, X / 16, y, random_state=0).plot()
    >>> found.ax_.get_xscale(), sorted(found.lines_)
    ('log', ['losses', 'smoothed_losses', 'suggested'])
    """

    name: str
    optimizer: str
    learning_rates: np.ndarray
    losses: np.ndarray
    smoothed_losses: np.ndarray
    least: float
    steepest: float

    @property
    def suggested(self) -> float:
        """A tenth of the rate of the least loss."""
        return self.least / 10

    def plot(self, ax: Any = None) -> Self:
        """Draw the losses over the learning rates.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self : object
            The result, with `ax_`, `figure_` and `lines_`.
        """
        take_axes(self, ax)
        rates, smoothed = self.learning_rates, self.smoothed_losses
        self.lines_ = {
            "losses": self.ax_.plot(rates, self.losses, color="0.7", linewidth=0.8)[0],
            "smoothed_losses": self.ax_.plot(rates, smoothed, color="C0", label="loss")[0],
            "suggested": self.ax_.axvline(
                self.suggested, color="C1", linestyle="--", label=f"suggested: {self.suggested:.2g}"
            ),
        }
        # An explosion would press all that went before it flat.
        fall = smoothed[0] - smoothed.min()
        room = 0.1 * fall if fall > 0 else np.ptp(smoothed)
        self.ax_.set_ylim(smoothed.min() - room, smoothed[0] + 5 * room)
        self.ax_.set(xscale="log", xlabel="learning rate", ylabel=f"loss of {self.name}")
        self.ax_.legend(loc="best", fontsize="small")
        return self

    def __repr__(self) -> str:
        first, last = self.learning_rates[[0, -1]]
        return (
            f"{self.name} by {self.optimizer}, learning rates {first:.2g} to {last:.2g} in "
            f"{len(self.losses)} steps\n"
            f"  steepest descent at {self.steepest:.2g}\n"
            f"  least loss       at {self.least:.2g}\n"
            f"  suggested           {self.suggested:.2g}"
        )
