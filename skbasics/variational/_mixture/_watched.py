"""The steps of a fit, with a bar and callbacks."""

from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from skbasics._callbacks import FitTasks, iterations
from skbasics.variational._mixture._mixture_ascent import Progress


def watched(
    estimator: Any, steps: Iterator[Progress], given: tuple[Any, Any, Any], learned: Callable
) -> tuple[Progress, bool]:
    """Step until the ascent ends or a callback stops it; return whether one did.

    Parameters
    ----------
    estimator : VariationalGaussianMixture
    steps : iterator
        First the start, then what each iteration makes of it.
    given : tuple
        X, y and sample weight as the user gave them.
    learned : callable
        Maps progress to fitted attributes.
    """
    observer = None
    if getattr(estimator, "_skl_callbacks", None):
        observer = FitTasks(estimator, given, estimator.max_iter, learned, "iteration")
    start = next(steps)
    last = start, False
    with tqdm(
        total=estimator.max_iter,
        desc=type(estimator).__name__,
        disable=not estimator.verbose,
        miniters=estimator.verbose_interval,
    ) as bar:
        for step in () if start.done else iterations(steps, observer):
            last = step
            bar.update()
    if observer is not None:
        observer.end()
    progress, halted = last
    return progress, halted and not progress.done
