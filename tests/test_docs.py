"""What the documents promise can be run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def test_the_first_block_of_the_readme_is_two_complete_commands():
    install, test = blocks(README, "sh")[0].strip().split("\n")
    for command in (install, test):
        assert command.startswith("python3 -m venv .venv && ")
        assert "-c tests/constraints.txt" in command
    assert "examples/quickstart.py" in install
    assert "pytest" in test


def documents():
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [pytest.param(path, id=path.name) for path in paths]


@pytest.mark.parametrize("path", documents())
def test_python_in_the_documents_runs(path):
    """The blocks of a document are one program."""
    code = "\n".join(blocks(path.read_text(), "python"))
    if not code:
        return
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", documents())
def test_files_named_in_the_documents_exist(path):
    for name in re.findall(r"`((?:docs|tests|examples|skbasics)/[\w./]+)`", path.read_text()):
        assert (ROOT / name).exists(), f"{path.name} names {name}"


def test_every_version_is_pinned():
    pins = (ROOT / "tests" / "constraints.txt").read_text().split("\n")[1:-1]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[\w.]+", pin) for pin in pins)
    assert "torch==2.13.0" in pins
