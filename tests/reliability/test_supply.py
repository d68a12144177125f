"""Nothing in the package runs what it reads: no file, text or name becomes code."""

import ast
from pathlib import Path

import pytest

import skbasics

ROOT = Path(skbasics.__file__).parent
SOURCES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted(ROOT.rglob("*.py"))}
MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "dbm"),
    *("copyreg", "jsonpickle", "yaml", "code", "codeop", "runpy", "ctypes", "cffi", "zipimport"),
    *("builtins", "subprocess", "pty", "socket", "ssl", "urllib", "http", "ftplib", "xmlrpc"),
    *("requests", "webbrowser", "tempfile", "shutil", "pathlib", "io", "skops", "onnx"),
}
"""Modules that nothing here needs: for code, files, other processes and the net."""

BUILTINS = {
    *("eval", "exec", "compile", "__import__", "open", "input", "breakpoint"),
    *("globals", "__builtins__"),
}

FUNCTIONS = {
    *("import_module", "system", "popen", "execv", "spawnv", "startfile", "fork", "urlopen"),
    *("load", "loads", "load_npz", "loadtxt", "genfromtxt", "fromfile", "memmap", "open_memmap"),
    *("read_pickle", "read_csv", "read_parquet", "read_text", "read_bytes", "Unpickler"),
    *("load_state_dict_from_url", "load_url", "urlretrieve", "fetch_openml", "mmap_mode"),
    *("allow_pickle", "weights_only"),
}
"""Functions and keywords of others by which code is run and files are read."""

ALLOWED = {
    "__init__.py": {"import_module"},  # by a fixed table of the package's own names
    "manifold/_extra.py": {"import_module"},  # modules of umap-learn, of written-out names
}


def reaching(source):
    """Return what in a source would run code, read files or reach the net, called or not."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module.split(".")[0]} & MODULES
            found |= {alias.name for alias in node.names} & (BUILTINS | FUNCTIONS)
        elif isinstance(node, ast.Name):
            found |= {node.id} & (BUILTINS | FUNCTIONS)
        elif isinstance(node, ast.Attribute):
            found |= {node.attr} & FUNCTIONS
        elif isinstance(node, ast.keyword):
            found |= {node.arg} & FUNCTIONS
    return found


@pytest.mark.parametrize("file", SOURCES)
def test_no_file_of_the_package_runs_what_it_reads(file):
    assert reaching(SOURCES[file]) == ALLOWED.get(file, set())


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib\njoblib.load('file')",
        "from joblib import load",
        "import torch\ntorch.load('file')",
        "import numpy as np\nnp.load('file', allow_pickle=True)",
        "eval('1')",
        "exec(text)",
        "__import__(name)",
        "from importlib import import_module",
        "import yaml",
        "import os\nos.system('ls')",
        "import subprocess as s",
        "open('file')",
        "import urllib.request",
    ],
)
def test_the_search_finds_what_it_is_for(source):
    assert reaching(source)


def test_names_of_the_package_come_from_a_fixed_table():
    """The one import by name takes no name that it is given."""
    for name in ("os", "pickle", "._sklearn", "network._layer", "skbasics.network"):
        with pytest.raises(AttributeError, match="has no attribute"):
            getattr(skbasics, name)


def test_modules_of_umap_have_written_out_names():
    calls = [
        node
        for source in SOURCES.values()
        if "umap_module(" in source
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "umap_module"
    ]
    assert calls
    assert all(isinstance(call.args[0], ast.Constant) for call in calls)
