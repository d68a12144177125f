"""One fit made by several processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.distributed as dist

from skbasics._collective import Group, in_group


@contextmanager
def data_parallel(group: Any = None) -> Iterator[None]:
    r"""Let the fits inside of a ``with`` block be made by all processes of a group together.

    Each rank passes its own rows to `fit`. Batches are drawn from the rows of all, in the order of
    the ranks, and the gradient of a batch B is the sum of what each rank r has of it,

    .. math::
        \nabla L_B(\theta) = \sum_r \frac{1}{\sum_{i \in B} w_i}
        \sum_{i \in B_r} w_i \nabla \ell_i(\theta)

    so that every rank makes the same steps, and ends with the parameters that one process would
    have found on the rows of all, up to rounding. The ranks may have any numbers of rows.

    Parameters
    ----------
    group : ProcessGroup or None, default=None
        The processes, of an initialised `torch.distributed`; None is all of them.

    Raises
    ------
    RuntimeError
        If `torch.distributed` is not initialised, or, out of a fit, if a message between the ranks
        fails: another has ended, has failed, or did not answer in the group's timeout. Of a failure
        gloo's ranks are told in seconds.
    ValueError
        If this process is not in the group, and out of a fit, if the data of a rank are refused or
        the ranks do not agree.
    NotImplementedError
        Out of a fit that ranks cannot make together; the message says what would change that.

    Notes
    -----
    The context is that of the thread or task. Outside of it no fit waits for anyone. The targets
    and weights of all rows are gathered on every rank, X is not.

    Examples
    --------
    A group of one process; `torchrun` starts more, and sets the addresses of `init_process_group`.

    >>> import numpy as np
    >>> import torch.distributed as dist
    >>> from skbasics import MLPRegressor
    >>> from skbasics.distributed import data_parallel
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> mlp = MLPRegressor((5,), max_iter=10, random_state=0)
    >>> alone = mlp.fit(X, X[:, 0]).predict(X)
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> with data_parallel():
    ...     together = mlp.fit(X, X[:, 0]).predict(X)
    >>> dist.destroy_process_group()
    >>> bool(np.abs(alone - together).max() < 1e-12)
    True
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError(
            "torch.distributed is not initialised. Start the processes with torchrun, and call "
            "torch.distributed.init_process_group('gloo') in each of them first."
        )
    if dist.get_rank(group) < 0:
        raise ValueError(
            f"This process, rank {dist.get_rank()}, is not in the group. Enter data_parallel only "
            "where group.rank() is not negative, or leave group=None."
        )
    with in_group(Group(group)):
        yield
