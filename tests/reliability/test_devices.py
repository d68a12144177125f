"""On a GPU: the numbers of the CPU, nothing left behind, and pickles that load without one."""

import gc
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import BaseEstimator

from tests.reliability.specimens import SPECIMENS

MOVABLE = [specimen for specimen in SPECIMENS if "device" in specimen.new().get_params()]
pytestmark = pytest.mark.filterwarnings("ignore:.*does not cover the posterior")
on_every_estimator = pytest.mark.parametrize("specimen", MOVABLE, ids=lambda s: s.name)
EVERYWHERE = """
import pickle, sys, torch
assert not torch.cuda.is_available()
for fitted, method, X, expected in pickle.load(sys.stdin.buffer):
    found = getattr(fitted.set_params(device=None), method)(X)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    if expected.dtype.kind == "f":
        assert abs(found - expected).max() <= 1e-8 * (1 + abs(expected).max()), method
    else:
        assert (found == expected).all(), method
"""


def is_a_map(specimen):
    """Whether it is chaotic: places differ by more than rounding after some epochs."""
    return specimen.kind == "UMAP"


def on_cuda(test):
    skips = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    return pytest.mark.cuda(skips(test))


@on_cuda
@on_every_estimator
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-7), (np.float32, 1e-3)])
def test_cuda_agrees_with_the_cpu(specimen, dtype, tolerance):
    X, y = specimen.data()
    X = X.astype(dtype)
    here, there = (specimen.new(device=device).fit(X, y) for device in ("cpu", "cuda"))
    expected, found = specimen.outputs(here, X), specimen.outputs(there, X)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        if values.dtype.kind != "f":
            assert (found[name] == values).mean() > 0.95
        elif not is_a_map(specimen):
            np.testing.assert_allclose(found[name], values, rtol=tolerance, atol=tolerance)


@on_cuda
@on_every_estimator
def test_nothing_stays_on_the_device(specimen):
    specimen.fitted(device="cuda")  # libraries make their workspaces once
    gc.collect()
    before = torch.cuda.memory_allocated()
    fitted = specimen.fitted(device="cuda")
    specimen.outputs(fitted, specimen.data()[0])
    gc.collect()
    assert torch.cuda.memory_allocated() == before
    assert not [name for name, value in vars(fitted).items() if isinstance(value, torch.Tensor)]


@on_cuda
@on_every_estimator
def test_tensors_stay_on_the_device(specimen):
    X, y = specimen.data()
    X = torch.from_numpy(X).cuda()
    if y is not None and y.dtype.kind == "U":
        y = np.unique(y, return_inverse=True)[1]
    y = None if y is None else torch.from_numpy(y).cuda()
    with config_context(array_api_dispatch=True):
        fitted = specimen.new().fit(X, y)
        for name, values in specimen.outputs(fitted, X).items():
            assert values.device == X.device, name
        again: BaseEstimator = pickle.loads(pickle.dumps(fitted))
        for name, values in specimen.outputs(again, X).items():
            assert values.device == X.device, name


@on_cuda
def test_pickles_load_without_the_device():
    cases = []
    for specimen in MOVABLE:
        X = specimen.data()[0]
        fitted = specimen.fitted(device="cuda")
        cases += [(fitted, name, X, out) for name, out in specimen.outputs(fitted, X).items()]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EVERYWHERE],
        input=pickle.dumps(cases),
        capture_output=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "tpu"])
@on_every_estimator
def test_a_device_that_is_not_there_is_named(specimen, device):
    estimator = specimen.new(device=device)
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match=f"device='{device}' cannot be used: .* Use device=None"):
        estimator.fit(*specimen.data())
    assert vars(estimator) == before


@on_every_estimator
def test_auto_is_the_cpu_where_there_is_no_gpu(specimen):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    X = specimen.data()[0]
    expected = specimen.outputs(specimen.fitted(), X)
    for name, values in specimen.outputs(specimen.fitted(device="auto"), X).items():
        np.testing.assert_array_equal(values, expected[name])
