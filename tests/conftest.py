"""Settings that must stand before scikit-learn and scipy are imported."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # without it the array-API checks skip in silence
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores: a thread for each
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "ignore::sklearn.exceptions.ConvergenceWarning")
