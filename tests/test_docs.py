"""What the documents promise can be run."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
FORMULAS = (ROOT / "docs" / "formulas.md").read_text()


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


@functools.cache
def functions_of(path):
    """Return the names of the functions of a file of tests."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", documents())
def test_tests_named_in_the_documents_exist(path):
    for file, name in re.findall(r"(tests/[\w./]+)::(\w*)", path.read_text()):
        assert (ROOT / file).is_file(), f"{path.name} names {file}"
        assert name.startswith("test_"), f"{path.name} names {file}::{name}"
        assert name in functions_of(file), f"{path.name} names {file}::{name}"


def entries_of_formulas():
    """Return the entries of docs/formulas.md as {chapter: {number: text}}."""
    found = {}
    chapters = re.split(r"^## (\d+)\. ", FORMULAS, flags=re.MULTILINE)[1:]
    for chapter, text in zip(chapters[::2], chapters[1::2], strict=True):
        parts = re.split(r"^### (?:\((\d+)\.(\d+)\) )?", text, flags=re.MULTILINE)[1:]
        entries = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
        found[int(chapter)] = {int(n): entry for c, n, entry in entries if c == chapter}
    return found


def test_the_page_of_formulas_has_every_chapter_entry_and_correction():
    found = entries_of_formulas()
    assert list(found) == list(range(1, 12))
    corrected = set()
    for chapter, entries in found.items():
        assert list(entries) == list(range(1, len(entries) + 1)), f"chapter {chapter}"
        for number, entry in entries.items():
            said, *_, verdict = re.split(r"^- ", entry, flags=re.MULTILINE)[1:]
            where = f"({chapter}.{number})"
            assert said.startswith("The notes"), where
            assert re.match(r"(Right|Correction \d+|Not in the notes)\b", verdict), where
            assert re.search(r"tests/\w|[Cc]omputed below", verdict), where
            corrected |= set(re.findall(r"Correction (\d+)", verdict))
    assert corrected == {str(number) for number in range(1, 54)}


def test_every_chapter_of_formulas_is_computed():
    for text in re.split(r"^## ", FORMULAS, flags=re.MULTILINE)[1:]:
        assert any("assert" in block for block in blocks(text, "python")), text[:40]


def test_every_version_is_pinned():
    pins = (ROOT / "tests" / "constraints.txt").read_text().split("\n")[1:-1]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[\w.]+", pin) for pin in pins)
    assert "torch==2.13.0" in pins
