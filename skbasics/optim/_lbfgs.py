"""L-BFGS: scipy's, on our objective."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import scipy.optimize
import torch
from scipy.optimize import OptimizeResult
from torch import Tensor

from skbasics._sklearn import Interval
from skbasics._threads import one_blas_thread
from skbasics.optim._base import Optimizer, check_repeatable
from skbasics.optim._state import OptimizerState

COUNT = Interval(Integral, 1, None, closed="left")


@dataclass(frozen=True)
class LBFGS(Optimizer):
    r"""Limited-memory BFGS, the quasi-Newton method, by scipy.

    .. math:: \theta_{t+1} = \theta_t - s_t B_t \nabla L(\theta_t)

    where :math:`B_t` approximates the inverse Hessian from the last m changes of parameters
    and gradients, 2 m P numbers for P parameters, and :math:`s_t` satisfies the strong Wolfe
    conditions. It takes all rows at once and runs by itself: it cannot follow a stream, so an
    estimator with it has no ``partial_fit``. It ends when no component of the gradient exceeds
    ``tol``, or when an iteration lowers the loss by less than 2.2e-9 of it (less for a ``tol``
    below 1e-4, as its square); without early stopping, ``n_iter_no_change`` plays no part. A warm
    start goes on from the parameters, with an empty memory.

    Parameters
    ----------
    memory : int, default=10
        The changes m that are remembered.
    max_fun : int, default=15000
        Evaluations of the loss, at most (an iteration that has begun is finished).

    Raises
    ------
    ValueError
        If the function changes from one evaluation to the next (dropout, batch
        normalisation).

    References
    ----------
    Nocedal and Wright, "Numerical Optimization", Springer 2006, chapter 7.
    Byrd, Lu, Nocedal and Zhu, "A limited memory algorithm for bound constrained optimization",
    SIAM Journal on Scientific Computing 16, 1995.

    Examples
    --------
    >>> from skbasics.optim import LBFGS, minimize
    >>> def rosenbrock(x):
    ...     return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    >>> minimize(rosenbrock, [-1.2, 1.0], optimizer=LBFGS()).x.round(3)
    array([1., 1.])
    """

    memory: int = 10
    max_fun: int = 15000

    full_batch: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict] = {"memory": [COUNT], "max_fun": [COUNT]}

    def gentler(self) -> dict[str, Any]:
        return {}

    def start(
        self,
        objective: Any,
        *,
        replicas: Sequence[Optimizer] | None = None,
        n_steps: Sequence[int] | None = None,
    ) -> OptimizerState:
        check_repeatable(objective, "LBFGS")
        return OptimizerState(len(objective.theta))

    def run(
        self,
        objective: Any,
        batch: Any,
        replica: int = 0,
        *,
        max_iter: int,
        tol: float,
        on_evaluation: Callable[[float], None] = lambda loss: None,
        on_iteration: Callable[[float], bool | None] = lambda loss: None,
    ) -> OptimizeResult:
        """Minimise one replica's loss from where it stands, and leave it in the minimum.

        Parameters
        ----------
        objective : Objective
        batch : Batch
        replica : int
        max_iter : int
            Iterations, at most.
        tol : float
            The largest component of the gradient in the minimum.
        on_evaluation : callable
            Called with every loss that is computed; it may raise.
        on_iteration : callable
            Called with the loss of every new iterate, which stands in ``theta``; returns
            whether to stop.

        Returns
        -------
        result : OptimizeResult
            scipy's.
        """
        row = objective.theta[replica]

        def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
            with torch.no_grad():
                row.copy_(torch.from_numpy(x))
                loss = float(objective.gradient(batch)[replica])
            on_evaluation(loss)
            return loss, _copy(objective.theta_gradient[replica])

        def watch(intermediate_result: OptimizeResult) -> None:
            row.copy_(torch.from_numpy(intermediate_result.x))
            try:
                halt = on_iteration(float(intermediate_result.fun))
            except StopIteration as error:  # which scipy would take for a wish to stop
                escaped.append(error)
                halt = True
            if halt:
                raise StopIteration

        escaped: list[StopIteration] = []
        options = {
            "maxcor": self.memory,
            "maxfun": self.max_fun,
            "maxiter": max_iter,
            "gtol": tol,
            "ftol": _least_gain(tol),
        }
        # Its own products are of short vectors: OpenBLAS's threads would spin while torch's
        # compute, and take their cores.
        with one_blas_thread(internal_api="openblas"):
            result = scipy.optimize.minimize(
                evaluate,
                _copy(row),
                jac=True,
                method="L-BFGS-B",
                callback=watch,
                options=options,
            )
        if escaped:
            raise escaped[0]
        row.copy_(torch.from_numpy(result.x))
        return result


def _copy(row: Tensor) -> np.ndarray:
    """Return numbers for scipy to keep, in its own precision."""
    return row.to("cpu", torch.float64, copy=True).numpy()


def _least_gain(tol: float) -> float:
    """Return the relative gain of an iteration below which the loss has settled.

    It is scipy's own down to the estimators' default ``tol`` of 1e-4. Near a minimum gains are as
    the square of the gradient, and so is what is asked of them below.
    """
    return 1e7 * float(np.finfo(np.float64).eps) * min(1.0, tol / 1e-4) ** 2
