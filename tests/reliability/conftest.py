"""Numbers of threads that can be lowered, or no test could find them lowered."""

import contextlib

import pytest
import torch
from threadpoolctl import threadpool_limits


@pytest.fixture
def two_threads():
    """Two threads for every library, whatever the tests run with."""
    torch_threads = torch.get_num_threads()
    with threadpool_limits(2):
        torch.set_num_threads(2)
        yield
        torch.set_num_threads(torch_threads)


@pytest.fixture(autouse=True)
def two_threads_of_blas(request):
    """For all modules that use `injection.world`; torch's would wait for each other too long."""
    two = "world" in vars(request.module)
    with threadpool_limits(2, user_api="blas") if two else contextlib.nullcontext():
        yield
