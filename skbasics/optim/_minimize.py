"""Minimise any function by any optimizer, from one start or from many at once."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from scipy.optimize import OptimizeResult
from torch import Tensor

from skbasics._arrays import as_numpy, as_tensor
from skbasics._sklearn import Interval, validate_parameter_constraints
from skbasics.optim._base import Optimizer, Stepwise
from skbasics.optim._function import FunctionObjective
from skbasics.optim._lbfgs import LBFGS
from skbasics.optim._newton import Newton
from skbasics.optim._registry import resolve_optimizer
from skbasics.optim._schedules import Adaptive
from skbasics.optim._state import Memory

CONVERGED, LIMIT, STUCK, CALLBACK = 0, 1, 2, 99
"""The values of `status`; those of scipy where scipy has them."""

STALL = 10
"""Iterations without a lower value after which an `Adaptive` rate is divided."""

CONSTRAINTS: dict[str, list] = {
    "fun": [callable],
    "optimizer": [str, Optimizer, type],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "callback": [callable, None],
    "return_path": ["boolean"],
}


def minimize(
    fun: Callable[[Tensor], Tensor],
    x0: Any,
    *,
    optimizer: str | Optimizer = "adam",
    max_iter: int = 1000,
    tol: float = 1e-6,
    callback: Callable[[OptimizeResult], Any] | None = None,
    return_path: bool = False,
) -> OptimizeResult:
    r"""Minimise a function of torch tensors, from one start or from K starts at once.

    .. math:: x^* = \arg\min_x f(x), \qquad x \in \mathbb{R}^D

    The gradient comes from automatic differentiation. K starts are one call of the function a
    step, not K: a thousand starts take little longer than one. (`LBFGS` is the exception: it
    runs one start after another.)

    Parameters
    ----------
    fun : callable
        The function, in differentiable torch operations: maps a tensor ``(D,)`` to a number,
        or, where x0 holds K starts, ``(K, D)`` to ``(K,)``, value k depending on row k alone.
    x0 : array-like or Tensor of shape (D,) or (K, D)
        The start, or K of them. Computed in its dtype, float32 or float64 (anything else
        becomes float64), and on its device.
    optimizer : str or Optimizer, default="adam"
        The rule, by name or as an object of `skbasics.optim`.
    max_iter : int, default=1000
        Steps, at most.
    tol : float, default=1e-6
        A start has converged when no component of its gradient exceeds it. (`Newton` asks too
        that no direction curves downwards; `LBFGS` also ends when the value falls by less than
        rounding can tell.)
    callback : callable or None, default=None
        Called after each step with an OptimizeResult of the iterate (x, fun, jac, nit), in the
        shapes of the result; ends the search by returning True or raising StopIteration.
    return_path : bool, default=False
        Whether the result has a ``path``.

    Returns
    -------
    result : OptimizeResult
        With K starts, everything but ``path`` has the leading axis K.

        - x (D,): the last iterate, as an array, or a tensor where x0 was one
        - fun, jac: the value and the gradient at x
        - nit, nfev: steps, and evaluations of the function
        - success: whether it has converged
        - status, message: 0 converged, 1 max_iter or max_fun reached, 2 no further descent
          possible, 99 ended by the callback
        - path (nit + 1, D), or (max(nit) + 1, K, D): all iterates, the start first; a start
          that has ended stays where it is

    Raises
    ------
    ValueError
        If x0 has another shape or is not finite, or if the function returns another shape, is
        not differentiable, or stops being finite on the way.

    See Also
    --------
    scipy.optimize.minimize : Methods with constraints, for functions with their own gradient.

    Examples
    --------
    >>> from skbasics import Newton, minimize
    >>> def rosenbrock(x):
    ...     return 100 * (x[..., 1] - x[..., 0] ** 2) ** 2 + (1 - x[..., 0]) ** 2
    >>> result = minimize(rosenbrock, [-1.2, 1.0], optimizer="newton")
    >>> result.success, result.x.round(6)
    (True, array([1., 1.]))
    >>> many = minimize(rosenbrock, [[-1.2, 1.0], [2.0, 2.0]], optimizer=Newton())
    >>> many.x.shape, many.fun.shape
    ((2, 2), (2,))
    """
    given = {
        "fun": fun,
        "optimizer": optimizer,
        "max_iter": max_iter,
        "tol": tol,
        "callback": callback,
        "return_path": return_path,
    }
    validate_parameter_constraints(CONSTRAINTS, given, "minimize")
    optimizer = resolve_optimizer(optimizer)
    optimizer.validate()
    start, single = _check_start(x0)
    as_caller = as_tensor if isinstance(x0, Tensor) else as_numpy
    objective = FunctionObjective(fun, start, single, _hint(optimizer))
    search = _Search(objective, max_iter, tol, callback, as_caller, return_path)
    if isinstance(optimizer, LBFGS):
        search.run_lbfgs(optimizer)
    else:
        search.run_steps(optimizer)
    return search.result()


def _hint(optimizer: Optimizer) -> str:
    """Say what to do about a function that stops being finite."""
    changes = [f"optimizer={type(optimizer).__name__}({change})" for change in optimizer.gentler()]
    other = "optimizer='newton', which steps back from such points"
    return " or ".join([*changes, *([] if isinstance(optimizer, Newton) else [other])])


def _check_start(x0: Any) -> tuple[Tensor, bool]:
    """Return the starts ``(K, D)`` in memory of their own, and whether it was a single one."""
    try:
        start = as_tensor(x0 if isinstance(x0, Tensor) else np.asarray(x0))
    except TypeError:
        raise ValueError(f"x0 must hold numbers, got {x0!r}.") from None
    if start.is_complex():
        raise ValueError("x0 is complex; pass its real and imaginary parts as 2 D numbers.")
    if start.ndim not in (1, 2) or start.numel() == 0:
        raise ValueError(
            f"x0 has shape {tuple(start.shape)}; expected one start (D,) or K starts (K, D), not "
            "empty."
        )
    dtype = start.dtype if start.dtype in (torch.float32, torch.float64) else torch.float64
    start = start.to(dtype, copy=True)
    single = start.ndim == 1
    start = start[None] if single else start
    bad = (~torch.isfinite(start)).any(1).nonzero()[:, 0].tolist()
    if bad:
        where = "" if single else f" (rows {bad[:10]})"
        raise ValueError(f"x0 must be finite, and holds nan or infinity{where}.")
    return start.contiguous(), single


class _Search:
    """One call of `minimize`: where each start stands, and how it ended."""

    def __init__(
        self,
        objective: FunctionObjective,
        max_iter: int,
        tol: float,
        callback: Callable[[OptimizeResult], Any] | None,
        as_caller: Callable[[Tensor], Any],
        keep_path: bool,
    ) -> None:
        self.objective, self.max_iter, self.tol = objective, max_iter, tol
        self.callback, self.as_caller, self.keep_path = callback, as_caller, keep_path
        n_starts = len(objective.theta)
        self.running = np.ones(n_starts, dtype=bool)
        self.nit, self.nfev, self.status = (np.zeros(n_starts, dtype=int) for _ in range(3))
        self.messages = [""] * n_starts
        self.path = [objective.theta.clone()]

    def run_steps(self, optimizer: Stepwise) -> None:
        """Step all starts at once, until each has ended."""
        state = optimizer.start(self.objective, n_steps=[self.max_iter] * len(self.running))
        stall = _Stall(optimizer, state)
        state.train()
        for nit in range(self.max_iter):
            active = None if self.running.all() else np.flatnonzero(self.running).tolist()
            with torch.no_grad():
                optimizer.step(self.objective, None, state, active)
            self._end_converged(state, nit)
            self._end(state.stuck, STUCK, nit)
            self._end(stall.at_lowest(self.objective.evaluated.fun), STUCK, nit)
            if nit > 0 and self._asked_to_stop(nit):
                self._end(torch.from_numpy(self.running), CALLBACK, nit)
            if not self.running.any():
                break
            if self.keep_path:
                self.path.append(self.objective.theta.clone())
        ended = self.objective.theta[~self.running]
        state.eval()
        self.objective.theta[~self.running] = ended
        self.objective.gradient()
        if self.running.any():
            self._asked_to_stop(self.max_iter)
            self._end_converged(state, self.max_iter)
            self._end(torch.from_numpy(self.running), LIMIT, self.max_iter)

    def run_lbfgs(self, optimizer: LBFGS) -> None:
        """Run one start after another."""
        optimizer.start(self.objective)
        paths = [self._run_lbfgs_once(optimizer, k) for k in range(len(self.running))]
        last = max(len(path) for path in paths) - 1
        self.path = [
            torch.stack([path[min(i, len(path) - 1)] for path in paths]) for i in range(last + 1)
        ]
        self.objective.gradient()

    def _run_lbfgs_once(self, optimizer: LBFGS, k: int) -> list[Tensor]:
        theta = self.objective.theta[k]
        path = [theta.clone()]
        if CALLBACK in self.status:
            self._end_one(k, CALLBACK, 0)
            self.nfev[k] = 0
            return path

        def watch(loss: float) -> bool:
            path.append(theta.clone())
            asked = self._asked_to_stop(len(path) - 1)
            if asked:
                self.status[k] = CALLBACK
            return asked

        before = self.objective.n_evaluations
        found = optimizer.run(
            self.objective, None, k, max_iter=self.max_iter, tol=self.tol, on_iteration=watch
        )
        status = CALLBACK if self.status[k] == CALLBACK else found.status
        self._end_one(k, status, found.nit, f"L-BFGS-B: {found.message}")
        self.nfev[k] = self.objective.n_evaluations - before
        return path

    def _end_converged(self, state: Memory, nit: int) -> None:
        small = self.objective.evaluated.jac.abs().amax(1) <= self.tol
        self._end(small & ~state.at_saddle.to(small.device), CONVERGED, nit)

    def _end(self, which: Tensor, status: int, nit: int) -> None:
        """End some of the running starts at the point that was evaluated last."""
        if not which.any():
            return
        for k in np.flatnonzero(which.cpu().numpy() & self.running):
            self.objective.theta[k] = self.path[-1][k] = self.objective.evaluated.x[k]
            self._end_one(k, status, nit)

    def _end_one(self, k: int, status: int, nit: int, message: str = "") -> None:
        self.running[k] = False
        self.status[k], self.nit[k], self.nfev[k] = status, nit, self.objective.n_evaluations
        self.messages[k] = self._message(k, status, message)

    def _message(self, k: int, status: int, found: str) -> str:
        size = float(self.objective.evaluated.jac[k].abs().max())
        steep = f"the largest component of the gradient is {size:.3g}, and tol={self.tol:g}"
        if found and status != CALLBACK:
            return f"{found}; {steep}."
        return {
            CONVERGED: f"Converged: {steep}.",
            LIMIT: f"Not converged after max_iter={self.max_iter} steps: {steep}.",
            STUCK: f"No step lowers the value any further; {steep}.",
            CALLBACK: f"Ended by the callback; {steep}.",
        }[status]

    def _asked_to_stop(self, nit: int) -> bool:
        if self.callback is None:
            return False
        try:
            return bool(self.callback(self._result(nit=nit)))
        except StopIteration:
            return True

    def _result(self, **more: Any) -> OptimizeResult:
        """Return the last evaluation, in the caller's arrays and shapes."""
        now = self.objective.evaluated
        x, fun, jac = (self.as_caller(part.clone()) for part in (now.x, now.fun, now.jac))
        if self.objective.single:
            x, fun, jac = x[0], fun[0], jac[0]
        return OptimizeResult(x=x, fun=fun, jac=jac, **more)

    def result(self) -> OptimizeResult:
        """Return how it went, with the path if that was asked for."""
        success = self.status == CONVERGED
        more: dict[str, Any] = {
            "nit": self.nit,
            "nfev": self.nfev,
            "success": success,
            "status": self.status,
            "message": self.messages,
        }
        if self.objective.single:
            more = {name: np.asarray(values)[0] for name, values in more.items()}
            more = {
                name: getattr(value, "item", lambda v=value: v)() for name, value in more.items()
            }
        if self.keep_path:
            path = torch.stack(self.path)
            more["path"] = self.as_caller(path[:, 0] if self.objective.single else path)
        return self._result(**more)


class _Stall:
    """Divides `Adaptive` rates when values have not fallen for a while; others it leaves alone.

    Attributes
    ----------
    best, waited : ndarray of shape (K,)
        The lowest value so far, and the steps since.
    """

    def __init__(self, optimizer: Optimizer, state: Memory) -> None:
        self.adaptive = isinstance(getattr(optimizer, "learning_rate", None), Adaptive)
        self.state = state
        self.best = np.full(state.n_replicas, np.inf)
        self.waited = np.zeros(state.n_replicas, dtype=int)

    def at_lowest(self, values: Tensor) -> Tensor:
        """Take the values of a step; return the starts whose rate cannot be divided again."""
        at_lowest = torch.zeros(len(values), dtype=torch.bool)
        if self.adaptive:
            now = values.cpu().numpy()
            self.waited = np.where(now < self.best, 0, self.waited + 1)
            self.best = np.minimum(self.best, now)
            for k in np.flatnonzero(self.waited):
                if self.waited[k] > (self.state.patience(k) or STALL):
                    self.waited[k] = 0
                    at_lowest[k] = not self.state.cut(k)
        return at_lowest
