"""Imports point down the levels, and the package loads nothing by itself."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skbasics

ROOT = Path(skbasics.__file__).parent
LEVELS = [
    ["_sklearn", "_fingerprint", "_versioned"],
    ["_adoption", "_collective", "_threads"],
    [
        *("_values", "_arrays", "_averages", "_derivatives", "_atomic", "_gaussian"),
        *("_inner", "_axes", "_tables"),
    ],
    ["_moments", "_merging", "_shards", "_documented"],
    ["network", "_training"],
    ["_data", "_stopping"],
    ["optim", "_agreement"],
    ["_fitted", "_options", "_gathered"],
    ["_replica"],
    ["_run", "_callbacks", "_held_out"],
    ["_base"],
    ["_classification", "_regression", "_stack"],
    [
        "autoencoder",
        "decomposition",
        "manifold",
        "neural_network",
        "pipeline",
        "stats",
        "variational",
    ],
    ["distributed", "inspection", "model_selection"],
    ["plots"],
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
FILES = sorted(ROOT.rglob("*.py"))


def home(path):
    """Return the top-level module or package a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """Yield what a file imports of the package itself, by its top-level name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("skbasics."))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    if home(path) == "__init__":
        return
    for other in imported(path):
        below = LEVEL[other] < LEVEL[home(path)]
        assert below or other == home(path), f"{path.name} must not import skbasics.{other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    assert len(path.read_text().splitlines()) < 400
    for name, length in statements(path):
        assert length <= 45, f"{path.name}: {name} has {length} lines"


def statements(path):
    """Yield each function of a file but constructors, and its lines without the docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node.name, body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_are_short_on_the_whole():
    """``pytest -s tests/test_layers.py`` prints the report."""
    lengths = {(path, name): n for path in FILES for name, n in statements(path)}
    median, ninth = np.quantile(list(lengths.values()), [0.5, 0.9])
    longest = max(lengths, key=lengths.get)
    print(
        f"\n{len(lengths)} functions: median {median:g} lines, 90th percentile {ninth:g}, "
        f"maximum {lengths[longest]} ({longest[0].relative_to(ROOT)}: {longest[1]})"
    )
    assert median < 8
    assert ninth < 25
    assert lengths[longest] <= 45


def test_only_one_door_to_private_scikit_learn():
    for path in FILES:
        if path.name == "_sklearn.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn"):
                private = [n for n in node.module.split(".") if n.startswith("_")]
                private += [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private, f"{path.name} imports {private} of scikit-learn"


def test_importing_the_package_loads_nothing_heavy():
    heavy = ["torch", "sklearn", "scipy", "numpy", "umap", "numba", "matplotlib", "pandas"]
    code = f"import sys, skbasics; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
