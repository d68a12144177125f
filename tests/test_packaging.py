"""What is built and sent out is the package, and says rightly what it is."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.version import Version

import skbasics

ROOT = Path(__file__).parents[1]
EXTRAS = ("umap", "plots", "mcmc", "dask")


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def built(request, tmp_path_factory):
    """Return the names in a freshly built archive, and its metadata."""
    folder = tmp_path_factory.mktemp(request.param)
    code = f"import hatchling.build as b; b.build_{request.param}({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    (archive,) = folder.iterdir()
    if request.param == "wheel":
        with zipfile.ZipFile(archive) as opened:
            names = opened.namelist()
            metadata = opened.read(next(n for n in names if n.endswith("/METADATA")))
    else:
        with tarfile.open(archive) as opened:
            top = f"skbasics-{skbasics.__version__}/"
            names = [name.removeprefix(top) for name in opened.getnames()]
            metadata = opened.extractfile(top + "PKG-INFO").read()
    return names, Metadata.from_email(metadata, validate=True)


def test_archives_hold_the_package_and_nothing_else(built):
    names, _ = built
    code = {name for name in names if name.endswith(".py")}
    assert code == {str(path.relative_to(ROOT)) for path in (ROOT / "skbasics").rglob("*.py")}
    others = [Path(name).name for name in names if name not in code]
    told = {"METADATA", "WHEEL", "RECORD", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert set(others) <= told | {".gitignore"}
    assert "LICENSE" in others


def test_metadata_says_what_the_package_is(built):
    _, metadata = built
    assert metadata.name == "skbasics"
    assert str(metadata.version) == skbasics.__version__
    assert metadata.description.startswith("# skbasics")
    assert metadata.description_content_type == "text/markdown"
    assert str(metadata.requires_python) == ">=3.11"
    needed = {need.name for need in metadata.requires_dist if not need.marker}
    assert needed == {"numpy", "scikit-learn", "scipy", "threadpoolctl", "torch", "tqdm"}
    assert {"umap", "plots", "mcmc", "test", "docs"} <= set(metadata.provides_extra)


def pinned(name):
    lines = (ROOT / "tests" / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def needed(*extras):
    """Return what the package itself needs, and what some of its extras do."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]
    return [need for need in map(Requirement, lines) if need.name != "skbasics"]


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-oldest.txt"])
def test_what_is_pinned_can_be_installed(name):
    pins = pinned(name)
    for requirement in needed(*EXTRAS, "test"):
        assert requirement.specifier.contains(pins[requirement.name]), requirement


def test_the_oldest_versions_are_those_that_are_admitted():
    oldest, newest = pinned("constraints-oldest.txt"), pinned("constraints.txt")
    for requirement in needed(*EXTRAS):
        (bound,) = requirement.specifier
        assert bound.operator == ">="
        name = requirement.name
        release = Version(oldest[name]).release
        least = Version(bound.version).release
        assert release[: len(least)] == least, name
        assert not any(release[len(least) :]), f"{name}: {oldest[name]} is not the oldest"
        assert Version(newest[name]) >= Version(oldest[name])
