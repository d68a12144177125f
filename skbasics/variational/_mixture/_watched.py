"""The steps of a fit, with a bar and callbacks."""

from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from skbasics._callbacks import FitTasks
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
    observer, halted = None, False
    if getattr(estimator, "_skl_callbacks", None):
        observer = FitTasks(estimator, given, estimator.max_iter, learned, "iteration")
    progress = next(steps)
    with tqdm(
        total=estimator.max_iter,
        desc=type(estimator).__name__,
        disable=not estimator.verbose,
        miniters=estimator.verbose_interval,
    ) as bar:
        while not (progress.done or halted):
            if observer is not None:
                observer.begin_iteration()
            progress = next(steps)
            bar.update()
            halted = observer is not None and observer.end_iteration(progress)
    if observer is not None:
        observer.end()
    return progress, halted and not progress.done
