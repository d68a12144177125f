"""Minimise any function by any optimizer, from one start or from many at once."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from scipy.optimize import OptimizeResult
from torch import Tensor

from skbasics._arrays import as_numpy, as_tensor
from skbasics._sklearn import Interval, validate_parameter_constraints
from skbasics.optim._base import Optimizer, Stepwise
from skbasics.optim._function import FunctionObjective, NotFiniteError
from skbasics.optim._lbfgs import LBFGS
from skbasics.optim._newton import Newton
from skbasics.optim._registry import resolve_optimizer
from skbasics.optim._schedules import Adaptive
from skbasics.optim._state import OptimizerState

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


@torch.inference_mode(False)
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
    runs one start after another, and each evaluation computes all K.)

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
        A start has converged when no component of its gradient exceeds it (and, by `Newton`,
        when no direction curves downwards). `LBFGS` also ends, without success, when a step
        lowers the value by less than 0.22 tol^2 of it.
    callback : callable or None, default=None
        Called after each step with an OptimizeResult of the iterates (x, fun, jac) and the
        number nit of the step, with `LBFGS` that of the start in hand; ends the search by
        returning True or raising StopIteration.
    return_path : bool, default=False
        Whether the result has a ``path``.

    Returns
    -------
    result : OptimizeResult
        With K starts, everything but ``path`` has the leading axis K.

        - x (D,): the last iterate, as an array, or a tensor where x0 was one
        - fun, jac: the value and the gradient at x
        - nit, nfev: steps, and calls of the function until the start had ended (those of all
          starts are the same calls, but for `LBFGS`)
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

    Notes
    -----
    Success is measured by the gradient itself, so it depends on the scale of the function: a mean
    is easier than a sum. A start that stops being finite ends the call, and with it the others;
    `Newton` alone steps back from such points. A matrix goes in as a flat vector, reshaped inside
    the function. A `TorchOptimizer` makes one instance a start.

    x, fun and jac belong together. `NAG` takes its gradients at look-ahead points: they are what
    its callback sees, and where it converges; its path is that of the iterates up to there.

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
    objective = FunctionObjective(fun, start, single)
    search = _Search(objective, max_iter, tol, callback, as_caller, return_path)
    try:
        if isinstance(optimizer, Stepwise):
            search.run_steps(optimizer)
        else:
            search.run_lbfgs(optimizer)
    except NotFiniteError as error:
        elsewhere = objective.n_evaluations == 1
        advice = "Start elsewhere" if elsewhere else f"Try optimizer={_gentler(optimizer)}"
        raise ValueError(f"{error} {advice}.") from None
    return search.result()


def _gentler(optimizer: Optimizer) -> str:
    """Name optimizers that go about a function more carefully."""
    changed = [repr(optimizer.replace(**{name: v})) for name, v in optimizer.gentler().items()]
    newton = [] if isinstance(optimizer, Newton) else ["'newton', which steps back by itself"]
    return " or ".join(changed + newton)


def _check_start(x0: Any) -> tuple[Tensor, bool]:
    """Return the starts ``(K, D)`` in memory of their own, and whether it was a single one."""
    try:
        start = as_tensor(x0 if isinstance(x0, Tensor) else np.asarray(x0)).to_dense()
    except (TypeError, RuntimeError):
        raise ValueError(f"x0 must hold numbers that torch knows, got {x0!r}.") from None
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
        objective = self.objective
        state = optimizer.start(objective, n_steps=[self.max_iter] * len(self.running))
        stall = _Stall.of(optimizer, state)
        state.train()
        for nit in range(self.max_iter):
            objective.first = None
            with torch.no_grad():
                optimizer.step(objective, None, state, self._active())
            self.now = objective.first
            self._end(self._small() & ~state.at_saddle, CONVERGED, nit)
            self._end(state.stuck, STUCK, nit)
            if stall is not None:
                self._end(stall.at_lowest(self.now.fun), STUCK, nit)
            if nit > 0 and self._asked_to_stop(nit):
                self._end(torch.from_numpy(self.running), CALLBACK, nit)
            if not self.running.any():
                break
            if self.keep_path:
                self.path.append(objective.theta.clone())
        ended = objective.theta[~self.running]
        state.eval()
        objective.theta[~self.running] = ended
        self._evaluate()
        self._end_at_limit(optimizer, state)

    def _active(self) -> list[int] | None:
        return None if self.running.all() else np.flatnonzero(self.running).tolist()

    def _evaluate(self) -> None:
        self.objective.gradient()
        self.now = self.objective.evaluated

    def _end_at_limit(self, optimizer: Stepwise, state: OptimizerState) -> None:
        if not self.running.any():
            return
        if self._small().any():
            optimizer.survey(self.objective, None, state)
        self._end(self._small() & ~state.at_saddle, CONVERGED, self.max_iter)
        ended = CALLBACK if self._asked_to_stop(self.max_iter) else LIMIT
        self._end(torch.from_numpy(self.running), ended, self.max_iter)

    def run_lbfgs(self, optimizer: LBFGS) -> None:
        """Run one start after another."""
        optimizer.start(self.objective)
        found = [self._run_lbfgs_once(optimizer, k) for k in range(len(self.running))]
        longest = max(len(path) for path, _ in found)
        self.path = [
            torch.stack([path[min(i, len(path) - 1)] for path, _ in found]) for i in range(longest)
        ]
        self._evaluate()
        for k, small in enumerate(self._small().tolist()):
            if self.status[k] != CALLBACK:
                self.status[k] = CONVERGED if small else self.status[k] or STUCK
            self.messages[k] = self._message(k, found[k][1])

    def _run_lbfgs_once(self, optimizer: LBFGS, k: int) -> tuple[list[Tensor], str]:
        """Run one start to its end; return its path, and what scipy said."""
        theta, path = self.objective.theta[k], [self.objective.theta[k].clone()]
        if CALLBACK in self.status:
            self.status[k] = CALLBACK
            return path, ""

        def watch(loss: float) -> bool:
            self.nit[k] += 1
            self.now = self.objective.evaluated
            if self.keep_path:
                path.append(theta.clone())
            asked = self._asked_to_stop(int(self.nit[k]))
            if asked:
                self.status[k] = CALLBACK
            return asked

        before = self.objective.n_evaluations
        found = optimizer.run(
            self.objective, None, k, max_iter=self.max_iter, tol=self.tol, on_iteration=watch
        )
        if self.status[k] != CALLBACK:
            self.status[k] = found.status
        self.nfev[k] = self.objective.n_evaluations - before
        return path, f"L-BFGS-B: {found.message}; "

    def _small(self) -> Tensor:
        """Return whose gradient was small, on the CPU."""
        return (self.now.jac.abs().amax(1) <= self.tol).cpu()

    def _end(self, which: Tensor, status: int, nit: int) -> None:
        """End some of the running starts at the point that was evaluated."""
        if not which.any():
            return
        for k in np.flatnonzero(which.numpy() & self.running):
            self.objective.theta[k] = self.path[-1][k] = self.now.x[k]
            self.running[k], self.status[k], self.nit[k] = False, status, nit
            self.nfev[k] = self.objective.n_evaluations
            self.messages[k] = self._message(k)

    def _message(self, k: int, found: str = "") -> str:
        if self.status[k] == LIMIT:
            found = found or f"max_iter={self.max_iter} steps are over; "
        size = float(self.now.jac[k].abs().max())
        ended = {
            CONVERGED: "Converged",
            LIMIT: "Not converged",
            STUCK: "Settled too early" if found else "No step lowers the value any further",
            CALLBACK: "Ended by the callback",
        }[self.status[k]]
        return (
            f"{ended}: {found}the largest component of the gradient is {size:.3g}, and "
            f"tol={self.tol:g}."
        )

    def _asked_to_stop(self, nit: int) -> bool:
        if self.callback is None:
            return False
        try:
            return bool(self.callback(self._result(nit=nit)))
        except StopIteration:
            return True

    def _result(self, **more: Any) -> OptimizeResult:
        """Return the evaluation in hand, in the caller's arrays and shapes."""
        now = self.now
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
            more = {name: np.asarray(values)[0].item() for name, values in more.items()}
        if self.keep_path:
            path = torch.stack(self.path)
            more["path"] = self.as_caller(path[:, 0] if self.objective.single else path)
        return self._result(**more)


class _Stall:
    """Divides `Adaptive` rates when values have not fallen for a while.

    Attributes
    ----------
    best, waited : ndarray of shape (K,)
        The lowest value so far, and the steps since.
    """

    def __init__(self, state: OptimizerState) -> None:
        self.state = state
        self.best = np.full(state.n_replicas, np.inf)
        self.waited = np.zeros(state.n_replicas, dtype=int)

    @classmethod
    def of(cls, optimizer: Optimizer, state: OptimizerState) -> Self | None:
        """Return what watches over an optimizer's rate, if it is one that adapts."""
        rate = getattr(optimizer, "learning_rate", None)
        return cls(state) if isinstance(rate, Adaptive) else None

    def at_lowest(self, values: Tensor) -> Tensor:
        """Take the values of a step; return the starts whose rate cannot be divided again."""
        at_lowest = torch.zeros(len(values), dtype=torch.bool)
        now = values.cpu().numpy()
        self.waited = np.where(now < self.best, 0, self.waited + 1)
        self.best = np.minimum(self.best, now)
        for k in np.flatnonzero(self.waited):
            if self.waited[k] > (self.state.patience(k) or STALL):
                self.waited[k] = 0
                at_lowest[k] = not self.state.cut(k)
        return at_lowest
