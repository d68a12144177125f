"""What becomes of an estimator elsewhere, and whether it is still the same."""

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

ROOT = Path(__file__).parents[2]
CODE = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    tasks = pickle.load(file)
with open(sys.argv[1], "wb") as file:
    pickle.dump([function(*arguments) for function, arguments in tasks], file)
"""


def in_a_fresh_process(tasks: list[tuple[Callable, tuple]]) -> list[Any]:
    """Return what functions of this file make of their arguments, elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tasks.pickle"
        path.write_bytes(pickle.dumps(tasks))
        command = [sys.executable, "-W", "ignore", "-c", CODE, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return pickle.loads(path.read_bytes())


def seeded(specimen: Any) -> Any:
    """Return an unfitted specimen whose draws repeat."""
    draws = hasattr(specimen.estimator, "random_state")
    return specimen.new(random_state=0) if draws else specimen.new()


def continued(estimator: Any, calls: list[tuple[str, tuple, dict]]) -> Any:
    """Return an estimator after some calls of its methods."""
    for method, args, keywords in calls:
        getattr(estimator, method)(*args, **keywords)
    return estimator


def same(found, expected):
    """Whether two things agree to the last bit: containers, arrays, our own objects."""
    kinds = [np.ndarray if isinstance(it, np.memmap) else type(it) for it in (found, expected)]
    assert kinds[0] is kinds[1]
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for name in expected:
            same(found[name], expected[name])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, np.random.RandomState):
        same(found.get_state(), expected.get_state())
    elif sp.issparse(expected) or type(expected).__module__.startswith("skbasics."):
        same(vars(found), vars(expected))
    elif isinstance(expected, torch.Tensor):
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    else:
        np.testing.assert_array_equal(found, expected)
