"""Faults at chosen places of the package, and all that they must leave as it was."""

import functools
import random
import sys
import warnings
from inspect import CO_GENERATOR
from pathlib import Path
from types import FrameType, FunctionType, MethodType
from typing import Any

import numpy as np
import sklearn
import torch
from threadpoolctl import ThreadpoolController
from tqdm import tqdm

import skbasics

PACKAGE = str(Path(skbasics.__file__).parent)
CHECKS = ("_follows_streams", "_is_gaussian")


class FaultError(RuntimeError):
    """An error that nothing in the package expects."""


class Faults:
    """Within a ``with`` block the n-th call or return of a function of the package raises.

    Availability checks do not count, whose errors scikit-learn takes for a method that is missing.
    Returns of the outermost function and of the guard that undoes a method that failed do not
    count, for by then the method has succeeded; nor do generators, which Python may close while
    it collects garbage, where no error can leave them.

    Parameters
    ----------
    at : int or None
        The place, counted from one; None only counts.
    error : type
        What is raised there.
    files : tuple of str
        How the names of files begin whose functions count, unless all of the package do.
    """

    def __init__(
        self,
        at: int | None = None,
        error: type[BaseException] = FaultError,
        files: tuple[str, ...] = (PACKAGE,),
    ) -> None:
        self.at, self.error, self.count, self.place = at, error, 0, None
        self._files, self._depth = files, 0

    def __enter__(self) -> "Faults":
        self._outer = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: Any) -> None:
        sys.settrace(self._outer)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if event == "call":
            if not code.co_filename.startswith(self._files) or code.co_flags & CO_GENERATOR:
                return None
            if code.co_name in CHECKS:
                return None
            frame.f_trace_lines = False
            self._depth += 1
            self._tick(event, code)
        elif event == "return":
            self._depth -= 1
            if self._depth and code.co_name != "guarded":
                self._tick(event, code)
        return self._trace

    def _tick(self, event: str, code: Any) -> None:
        self.count += 1
        if self.count == self.at:
            sys.settrace(None)
            file = code.co_filename.removeprefix(PACKAGE)
            self.place = f"{event} of {code.co_qualname} ({file}:{code.co_firstlineno})"
            raise self.error(self.place)


def caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an error is of a kind, or tells of one as its cause."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error is not None


def frozen(value: Any, hidden: tuple[str, ...] = ("seconds", "_skl_callbacks")) -> Any:
    """Return all that a value holds, to the last bit, as something that compares by ``==``.

    Keys in `hidden` are left out: durations, and what belongs to the user.
    """
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, torch.Tensor):
        return str(value.dtype), str(value.device), frozen(value.detach().cpu().numpy())
    if isinstance(value, np.random.RandomState):
        return "RandomState", frozen(value.get_state(legacy=False))
    if isinstance(value, dict):
        return {key: frozen(v, hidden) for key, v in value.items() if key not in hidden}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [type(value), *(frozen(each, hidden) for each in value)]
    if isinstance(value, (float, np.generic)):
        return type(value), repr(value)  # a nan is a nan
    if isinstance(value, (type, FunctionType, MethodType)) or not hasattr(value, "__dict__"):
        return value
    return type(value), frozen(vars(value), hidden)


@functools.cache
def libraries() -> list[Any]:
    """Return what computes with threads; the search for it takes long."""
    return ThreadpoolController().lib_controllers


def world() -> dict[str, Any]:
    """Return what a fit shares with the rest of the process."""
    return {
        "threads": torch.get_num_threads(),
        "threads of libraries": {each.filepath: each.num_threads for each in libraries()},
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch generator": torch.get_rng_state().numpy().tobytes(),
        "numpy generator": frozen(np.random.get_state(legacy=False)),  # noqa: NPY002,
        "python generator": random.getstate(),
        "numpy errors": np.geterr(),
        "warning filters": list(warnings.filters),
        "scikit-learn": sklearn.get_config(),
        "bars": len(getattr(tqdm, "_instances", ())),
    }
