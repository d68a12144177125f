"""Which learning rates lower the loss: one short training in which the rate grows."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch

from skbasics._arrays import own_random_state
from skbasics._collective import refuse_in_group
from skbasics._run import Run
from skbasics._sklearn import Interval, validate_parameter_constraints
from skbasics.inspection._learning_rate_range import LearningRateRange
from skbasics.inspection._subject import begin, subject
from skbasics.optim import FirstOrder, Schedule, resolve_optimizer

POSITIVE = Interval(Real, 0, None, closed="neither")
EXPLODED = 4.0
"""A loss has exploded when it has risen by so many times its fall, or its least size."""

CONSTRAINTS: dict[str, list] = {
    "smallest": [POSITIVE],
    "largest": [POSITIVE],
    "n_steps": [Interval(Integral, 2, None, closed="left")],
    "smoothing": [Interval(Integral, 1, None, closed="left")],
}


@dataclass(frozen=True)
class GeometricGrowth(Schedule):
    r"""Grows by the same factor each step, from one rate to another.

    .. math:: \eta_t = \eta_0 \, (\eta_{n-1} / \eta_0)^{t / (n - 1)}
    """

    smallest: float
    largest: float
    n_steps: int

    _parameter_constraints: ClassVar[dict] = {
        name: CONSTRAINTS[name] for name in ("smallest", "largest", "n_steps")
    }

    def at(self, step: int, n_steps: int | None = None, n_cuts: int = 0) -> float:
        return self.smallest * (self.largest / self.smallest) ** (step / (self.n_steps - 1))


def learning_rate_range_test(
    estimator: Any,
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    smallest: float = 1e-7,
    largest: float = 10.0,
    n_steps: int = 100,
    smoothing: int = 9,
    random_state: Any = None,
) -> LearningRateRange:
    r"""Train briefly while the learning rate grows, and see where the loss falls and rises.

    The rate of step t is :math:`\eta_t = \eta_0 (\eta_{n-1} / \eta_0)^{t/(n-1)}`, from `smallest`
    to `largest`. The steps are those of a new fit: its initial weights, its optimizer, its batches.
    While the rate is too small the loss stands still, then it falls, and beyond some rate it
    rises. On a quadratic that is :math:`2 / \lambda_{\max}` for gradient descent on the full batch,
    with the largest eigenvalue of the Hessian.

    The rate `suggested` is a tenth of that at which the smoothed loss was least. It is a beginning:
    what is best depends on how long one trains. The test ends early when the loss explodes, by
    four times its fall or its least size, whichever is larger. The estimator is not changed.

    Parameters
    ----------
    estimator : estimator
        A network of the package; if it is fitted, a new fit is looked at. Of a pipeline the last
        step counts, of a fitted search the best estimator. Its optimizer is a first-order rule.
    X : array-like of shape (n_samples, n_features)
        Rows, as `fit` takes them; none are held out.
    y : array-like, default=None
        Targets, as `fit` takes them.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.
    smallest, largest : float, default=1e-7 and 10.0
        The rates of the first and of the last step.
    n_steps : int, default=100
        Steps, of a batch each.
    smoothing : int, default=9
        The smoothed loss is the median of so many steps around each; a mean would lag behind, or
        spread an explosion to the steps before it.
    random_state : int, RandomState instance or None, default=None
        Draws what the estimator draws in fit, where its own random state is None.

    Returns
    -------
    found : LearningRateRange
        With ``suggested``, ``steepest``, ``least``, and a method ``plot``.

    Raises
    ------
    TypeError
        If the estimator is not a network of the package.
    ValueError
        If its optimizer has no learning rate that a step follows, for parameters and data that
        `fit` refuses, and where the loss is not finite from the start.

    Warns
    -----
    UserWarning
        If the loss was least at an end of the range, so that the rates do not tell enough.

    References
    ----------
    Smith, "Cyclical learning rates for training neural networks", WACV 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skbasics import MLPClassifier, learning_rate_range_test
    >>> X, y = load_digits(return_X_y=True)
    >>> network = MLPClassifier((30,), max_iter=30, random_state=0)
    >>> found = learning_rate_range_test(network, X / 16, y)
    >>> 1e-3 < found.suggested < 0.1
    True
    >>> network = network.set_params(optimizer__learning_rate=found.suggested)
    >>> network.fit(X / 16, y).score(X / 16, y) > 0.97
    True
    """
    refuse_in_group("learning_rate_range_test")
    _check_range(smallest=smallest, largest=largest, n_steps=n_steps, smoothing=smoothing)
    draws = own_random_state(random_state)
    network, X, y = subject(estimator, X, y, "learning_rate_range_test", draws)
    network._forget()
    growth = GeometricGrowth(float(smallest), float(largest), int(n_steps))
    network.optimizer = _growing(network.optimizer, growth)
    run = begin(network, X, y, sample_weight, double=False)
    losses = np.array(_losses(run, n_steps))
    if len(losses) < 2:
        raise ValueError(
            f"The training loss of {type(network).__name__} is not finite from the start. Scale "
            "the features (StandardScaler) and targets, or begin at a lower rate than "
            f"smallest={smallest:g}."
        )
    rates = np.array([growth.at(step) for step in range(len(losses))])
    smoothed = _running_median(losses, smoothing)
    least = int(np.argmin(smoothed))
    _warn_of_ends(least, rates, n_steps)
    rule, steepest = run.optimizer.rule, _steepest(smoothed, least, smoothing)
    return LearningRateRange(
        type(network).__name__,
        rule,
        rates,
        losses,
        smoothed,
        float(rates[least]),
        float(rates[steepest]),
    )


def _check_range(**given: Any) -> None:
    validate_parameter_constraints(CONSTRAINTS, given, caller_name="learning_rate_range_test")
    if given["smallest"] >= given["largest"]:
        raise ValueError(
            f"smallest={given['smallest']:g} must be below largest={given['largest']:g}: the rate "
            "grows from the one to the other."
        )


def _growing(optimizer: Any, growth: GeometricGrowth) -> FirstOrder:
    """Return an optimizer with a rate that grows."""
    optimizer = resolve_optimizer(optimizer)
    if not isinstance(optimizer, FirstOrder):
        raise ValueError(
            "learning_rate_range_test needs an optimizer that follows the gradient at a learning "
            f"rate of ours, and {type(optimizer).__name__} does not: it searches for the length of "
            "its steps, or is not one of our rules. Take 'sgd', 'momentum', 'nag', 'rmsprop', "
            "'adam' or 'adamw'."
        )
    optimizer.validate()
    return optimizer.replace(learning_rate=growth)


@torch.no_grad()
def _losses(run: Run, n_steps: int) -> list[float]:
    """Make steps until there are enough or the loss explodes; return their finite losses."""
    losses: list[float] = []
    run.state.train()
    while True:
        run.objective.seed_epoch(run.batches.random_states)
        for batch in run.batches.epoch(np.ones(1, bool)):
            loss = float(run.optimizer.step(run.objective, batch, run.state)[0])
            if not math.isfinite(loss):
                return losses
            losses.append(loss)
            if len(losses) == n_steps or _exploded(losses):
                return losses


def _exploded(losses: Sequence[float]) -> bool:
    """Whether the loss has left the range that it began in, and not for one batch alone."""
    least = min(losses)
    size = max(abs(least), losses[0] - least)
    return float(np.median(losses[-3:])) > least + EXPLODED * size


def _running_median(values: np.ndarray, width: int) -> np.ndarray:
    """Return the median of `width` values around each; towards the ends, of fewer.

    As many are taken before as after, so that what rises or falls steadily stays as it is.
    """
    half, last = width // 2, len(values) - 1
    reach = [min(half, i, last - i) for i in range(len(values))]
    return np.array([np.median(values[i - r : i + r + 1]) for i, r in enumerate(reach)])


def _steepest(smoothed: np.ndarray, least: int, width: int) -> int:
    """Return the step before the least loss about which, half a window each way, it falls most."""
    reach = max(1, width // 2)
    falls = smoothed[: -2 * reach] - smoothed[2 * reach :]
    falls = falls[: max(1, least - reach + 1)]  # the first is that about the step number `reach`
    return min(int(np.argmax(falls)) + reach, least) if len(falls) else least


def _warn_of_ends(least: int, rates: np.ndarray, n_steps: int) -> None:
    if least == 0:
        warnings.warn(
            f"The loss rose from the first rate on, smallest={rates[0]:g}, and may fall at lower "
            "ones. Lower smallest.",
            stacklevel=3,
        )
    elif least == n_steps - 1:
        warnings.warn(
            f"The loss was least at the last rate, largest={rates[-1]:g}, and may go on falling "
            "beyond it. Raise largest.",
            stacklevel=3,
        )
