"""Numbers of threads that can be lowered, or no test could find them lowered."""

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
def two_threads_where_the_world_is_compared(request):
    """For all modules that use `injection.world`."""
    if "world" in vars(request.module):
        request.getfixturevalue("two_threads")
