"""umap-learn, where it is installed: imported when something is asked of it, and not before."""

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType

from skbasics._threads import without_warnings


def has_umap() -> bool:
    """Whether umap-learn is installed; nothing of it is imported."""
    return find_spec("umap") is not None


def umap_module(name: str, what: str) -> ModuleType:
    """Return a module of umap-learn.

    Parameters
    ----------
    name : str
        ``umap_``, ``distances``, ...
    what : str
        What needs it, to begin a sentence with.

    Raises
    ------
    ImportError
        If it is not installed, with the line that installs it.
    """
    if not has_umap():
        raise ImportError(
            f"{what} needs umap-learn, which is not installed. Run: pip install 'skbasics[umap]'. "
            "engine='torch' needs nothing but this package."
        )
    name = f"umap.{name}"
    if name in sys.modules:
        return importlib.import_module(name)
    with without_warnings():  # it tells of the TensorFlow that it would need for what is not used
        return importlib.import_module(name)
