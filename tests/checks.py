"""How a check of scikit-learn's is run: none is skipped but for hardware that is not here."""

from unittest import SkipTest

import pytest
import torch

OTHER_HARDWARE = ("cuda", "cupy", "XPU", "MPS", "dpnp", "mps", "xpu")


def run_check(check, estimator):
    """Run a check; a skip for another reason is a failure."""
    if not torch.cuda.is_available() and "'cuda'" in repr(getattr(check, "keywords", {})):
        pytest.skip("torch may be built for cuda, and there is no device")
    try:
        check(estimator)
    except SkipTest as skipped:
        if not any(word in str(skipped) for word in OTHER_HARDWARE):
            pytest.fail(f"skipped: {skipped}")
        pytest.skip(str(skipped))
