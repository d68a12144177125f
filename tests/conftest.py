"""Settings that must stand before scikit-learn and scipy are imported."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # without it the array-API checks skip in silence


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "ignore::sklearn.exceptions.ConvergenceWarning")
