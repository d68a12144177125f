"""The documentation site: ``python -m sphinx -W -b html docs docs/_build/html``."""

import os
import re
import warnings
from pathlib import Path

import matplotlib

import skbasics

matplotlib.use("agg")
os.environ["PYTHONWARNINGS"] = "ignore"  # of the processes that examples start
warnings.filterwarnings("ignore")

project = "skbasics"
author = "the founders of skbasics"
version = release = skbasics.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "LICENSE", "**/*.ipynb"]

html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": [],
    "footer_end": [],
}
html_title = "skbasics"
html_show_sourcelink = False
html_sidebars = {"changelog": [], "benchmarks": []}

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
templates_path = ["templates"]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

EXAMPLES = Path(__file__).parents[1] / "examples"
sphinx_gallery_conf = {
    "examples_dirs": str(EXAMPLES),
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
    "default_thumb_file": None,
    "write_computation_times": False,
}


ROLES = re.compile(
    r":(?:\w+:)?(?:ref|term|class|meth|func|mod|attr|doc):`~?([^`<]+?)(?:\s*<[^`]*>)?`"
)


def without_links(app, kind, name, subject, options, lines):
    """Turn links of docstrings that are scikit-learn's into words: their targets are not here."""
    subject = getattr(subject, "fget", subject)
    if str(getattr(subject, "__module__", "")).startswith("sklearn"):
        lines[:] = [ROLES.sub(r"``\1``", line) for line in lines]


def setup(app):
    """Let Sphinx call that before numpydoc."""
    app.connect("autodoc-process-docstring", without_links, priority=100)
