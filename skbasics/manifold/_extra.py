"""umap-learn, where it is installed: imported when something is asked of it, and not before."""

import importlib
import warnings
from importlib.util import find_spec
from types import ModuleType


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
    with warnings.catch_warnings():
        # It tells of the TensorFlow that it would need for what is not used here.
        warnings.simplefilter("ignore")
        return importlib.import_module(f"umap.{name}")
