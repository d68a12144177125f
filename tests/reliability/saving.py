"""What becomes of an estimator elsewhere, and whether it is still the same."""

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.reliability.injection import frozen

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


def same(found: Any, expected: Any) -> None:
    """Assert that two things agree to the last bit: containers, arrays, our own objects."""
    assert frozen(found, hidden=()) == frozen(expected, hidden=())
