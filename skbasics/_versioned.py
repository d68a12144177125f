"""What a saved estimator tells of the version that wrote it, and what becomes of it here."""

import warnings
from typing import Any

from sklearn.exceptions import InconsistentVersionWarning

import skbasics

STATE_FORMAT = 1
"""The form of fitted states: goes up by one whenever an older version could not read them."""

OLDEST_FORMAT = 1
"""The oldest form that is still read here."""

VERSION, FORMAT = "_skbasics_version", "_skbasics_format"
"""Under which names both are saved, beside the attributes."""


class Versioned:
    """An estimator that is saved with its version, and refuses a state it would misread.

    Whatever saves by ``__getstate__`` does so: pickle, joblib, copies and skops.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), VERSION: skbasics.__version__, FORMAT: STATE_FORMAT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        version, form = state.get(VERSION, "unknown"), state.get(FORMAT, 0)
        if not OLDEST_FORMAT <= form <= STATE_FORMAT:
            raise ValueError(_refusal(type(self).__name__, version, form))
        if _minor(version) != _minor(skbasics.__version__):
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=f"skbasics.{type(self).__name__}",
                    current_sklearn_version=skbasics.__version__,
                    original_sklearn_version=version,
                ),
                stacklevel=2,
            )
        stamps = (VERSION, FORMAT)
        super().__setstate__({name: state[name] for name in state if name not in stamps})


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _refusal(name: str, version: str, form: int) -> str:
    here = f"skbasics {skbasics.__version__} reads"
    formats = f"format {STATE_FORMAT}"
    if OLDEST_FORMAT < STATE_FORMAT:
        formats = f"formats {OLDEST_FORMAT} to {STATE_FORMAT}"
    return (
        f"This {name} was saved by skbasics {version} in state format {form}, and {here} "
        f"{formats}. Load it with the version that saved it, and fit it anew here or take a "
        "network along by to_torch()."
    )
