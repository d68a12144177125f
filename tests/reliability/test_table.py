"""The table of promises names every file of tests that keeps one, and no other."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "reliability.md").read_text()


def test_every_promise_names_a_file_and_every_file_a_promise():
    named = set(re.findall(r"`(tests/\w+/test_\w+\.py)`", TABLE))
    files = [*ROOT.glob("tests/reliability/test_*.py"), *ROOT.glob("tests/distributed/test_*.py")]
    assert named == {str(file.relative_to(ROOT)) for file in files} - {
        "tests/reliability/test_table.py"
    }


@pytest.mark.parametrize("name", ["run", "oldest"])
def test_jobs_that_are_named_exist(name):
    assert f"`.ci/{name}`" in TABLE
    assert (ROOT / ".ci" / name).stat().st_mode & 0o100


def test_numbers_of_tests_are_those_that_are_collected(request):
    """Of the files that this run has collected; all of them in a run of everything."""
    config = request.config
    narrowed = config.option.keyword or config.option.markexpr or "::" in "".join(config.args)
    found = Counter(str(item.path.relative_to(ROOT)) for item in request.session.items)
    rows = re.findall(r"`(tests/\w+/test_\w+\.py)` \| (\d+) ", TABLE)
    assert len(rows) > 10
    for name, number in rows:
        if name in found and not narrowed:
            assert found[name] == int(number), name
