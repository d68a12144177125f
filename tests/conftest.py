"""Settings that must stand before scikit-learn and scipy are imported."""

import os

import pytest

os.environ["SCIPY_ARRAY_API"] = "1"  # without it the array-API checks skip in silence
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores: a thread for each
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config):
    from hypothesis import settings

    # Of tests/reliability/test_fuzz.py; here it is known before the command line is read.
    settings.register_profile("long", max_examples=1000, derandomize=False)
    config.addinivalue_line("filterwarnings", "ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def number_of_threads_as_before():
    """Of torch: umap-learn, which tests compare with, has numba give OpenMP all cores."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
