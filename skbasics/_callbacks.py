"""scikit-learn's callbacks, one task an iteration."""

from collections.abc import Callable, Iterator
from typing import Any


class FitTasks:
    """Reports a fit and its iterations to the callbacks of an estimator.

    Parameters
    ----------
    estimator : estimator
        One with callbacks set, by the user or by the search that fits it.
    data : tuple
        X, y and sample weight as the user gave them.
    max_iter : int
        The number of iterations at most.
    fitted : callable
        Maps the state of the fit after an iteration to the attributes that make a copy of the
        estimator ready to predict.
    iteration : str
        What an iteration is called.
    """

    def __init__(
        self,
        estimator: Any,
        data: tuple[Any, Any, Any],
        max_iter: int,
        fitted: Callable[[Any], dict[str, Any]],
        iteration: str = "epoch",
    ) -> None:
        X, y, sample_weight = data
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._task = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fitted, self._name = fitted, iteration
        self._context = estimator._init_callback_context(max_subtasks=max_iter)
        self._context.call_on_fit_task_begin(**self._task)

    def begin_iteration(self) -> None:
        """Tell the callbacks that an iteration begins."""
        self._iteration = self._context.subcontext(task_name=self._name)
        self._iteration.call_on_fit_task_begin(**self._task)

    def end_iteration(self, state: Any) -> bool:
        """Tell the callbacks that the iteration has ended; return whether one asks to stop."""
        return self._iteration.call_on_fit_task_end(
            **self._task, reconstruction_attributes=lambda: self._fitted(state)
        )

    def end(self) -> None:
        """Tell the callbacks that the estimator is fitted."""
        self._context.call_on_fit_task_end(**self._task, reconstruction_attributes={})


def iterations(steps: Iterator[Any], observer: FitTasks | None) -> Iterator[tuple[Any, bool]]:
    """Yield steps, and whether a callback stops them, until one is ``done`` or stopped."""
    while True:
        if observer is not None:
            observer.begin_iteration()
        step = next(steps)
        halted = observer is not None and observer.end_iteration(step)
        yield step, halted
        if halted or step.done:
            return
