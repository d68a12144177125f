"""scikit-learn's callbacks, one task an epoch."""

from collections.abc import Callable
from typing import Any

from skbasics._run import Run


class FitTasks:
    """Reports a fit and its epochs to the callbacks of an estimator.

    Parameters
    ----------
    estimator : estimator
        One with callbacks set, by the user or by the search that fits it.
    data : tuple
        X, y and sample weight as the user gave them.
    max_iter : int
        The number of epochs at most.
    fitted : callable
        Maps a run to the attributes that make a copy of the estimator ready to predict.
    """

    def __init__(
        self,
        estimator: Any,
        data: tuple[Any, Any, Any],
        max_iter: int,
        fitted: Callable[[Run], dict[str, Any]],
    ) -> None:
        X, y, sample_weight = data
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._task = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fitted = fitted
        self._context = estimator._init_callback_context(max_subtasks=max_iter)
        self._context.call_on_fit_task_begin(**self._task)

    def begin_epoch(self) -> None:
        """Tell the callbacks that an epoch begins."""
        self._epoch = self._context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._task)

    def end_epoch(self, run: Run) -> bool:
        """Tell the callbacks that the epoch has ended; return whether one asks to stop."""
        return self._epoch.call_on_fit_task_end(
            **self._task, reconstruction_attributes=lambda: self._fitted(run)
        )

    def end(self) -> None:
        """Tell the callbacks that the estimator is fitted."""
        self._context.call_on_fit_task_end(**self._task, reconstruction_attributes={})
