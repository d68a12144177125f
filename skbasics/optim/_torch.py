"""Any optimizer class of torch's kind, driven from outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skbasics._arrays import as_tensor
from skbasics.optim._base import Optimizer


@dataclass(frozen=True)
class TorchOptimizer(Optimizer):
    """A ``torch.optim``-style class as an optimizer.

    Each replica gets an instance of its own, over one parameter for each weight and bias, so
    that rules which look at shapes (Muon, Shampoo) see matrices. It takes no schedule and no
    ``max_gradient_norm``; a search varies ``optimizer__params``. A class that evaluates a
    batch more than once (LBFGS) is refused with dropout or batch normalisation.

    Parameters
    ----------
    cls : type
        A subclass of ``torch.optim.Optimizer``, or a callable that makes one from a list of
        parameters.
    params : dict, optional
        Its keyword arguments.

    Examples
    --------
    >>> import torch
    >>> from skbasics.optim import TorchOptimizer
    >>> TorchOptimizer(torch.optim.NAdam, {"lr": 2e-3}).params
    {'lr': 0.002}
    """

    cls: Callable[..., torch.optim.Optimizer]
    params: dict[str, Any] | None = None

    _parameter_constraints: ClassVar[dict] = {"cls": [callable], "params": [dict, None]}

    def __hash__(self) -> int:
        return hash((self.cls, tuple(sorted(self.params or ()))))

    @property
    def rule(self) -> str:
        """The class and its options but the learning rate: another option, another state."""
        options = {name: v for name, v in sorted((self.params or {}).items()) if name != "lr"}
        return f"{getattr(self.cls, '__qualname__', self.cls)} {options}"

    def gentler(self) -> str:
        return "params={'lr': ...} with a lower rate"

    def start(
        self,
        objective: Any,
        *,
        replicas: Sequence[Optimizer] | None = None,
        n_steps: Sequence[int] | None = None,
    ) -> "TorchState":
        replicas = [self] * len(objective.theta) if replicas is None else replicas
        return TorchState([_Driver(objective, k, replica) for k, replica in enumerate(replicas)])

    def step(
        self,
        objective: Any,
        batch: Any,
        state: "TorchState",
        active: Sequence[int] | None = None,
    ) -> Tensor:
        losses = objective.gradient(batch)
        for k in range(len(state.drivers)) if active is None else active:
            state.drivers[k].step(objective, batch, losses)
        return losses


class _Driver:
    """One replica's optimizer and the parameters it sees, views into theta."""

    def __init__(self, objective: Any, replica: int, spec: TorchOptimizer) -> None:
        self.replica = replica
        self.parameters = []
        for slot in objective.slots:
            parameter = nn.Parameter(slot.view(objective.theta)[replica])
            parameter.grad = slot.view(objective.theta_gradient)[replica]
            self.parameters.append(parameter)
        self.optimizer = spec.cls(self.parameters, **(spec.params or {}))

    def step(self, objective: Any, batch: Any, losses: Tensor) -> None:
        known: list[Tensor] = [losses]

        def closure() -> Tensor:
            # Line searches call it again, at points where the gradient is not yet known.
            if not (known or objective.repeatable):
                raise ValueError(
                    f"{type(self.optimizer).__name__} evaluates a batch more than once, and with "
                    "dropout or batch_norm each time is another function. Set dropout=0.0 and "
                    "batch_norm=False, or take an optimizer that needs one gradient a step."
                )
            with torch.no_grad():
                values = known.pop() if known else objective.gradient(batch)
            return values[self.replica].detach()

        self.optimizer.step(closure)


class TorchState:
    """The instances of K replicas."""

    gradient_norm = None

    def __init__(self, drivers: list[_Driver]) -> None:
        self.drivers = drivers

    def current_rates(self) -> list[float]:
        """Return the learning rate of each replica, nan where the class has none."""
        groups = [driver.optimizer.param_groups[0] for driver in self.drivers]
        return [float(group.get("lr", float("nan"))) for group in groups]

    def patience(self, replica: int) -> int | None:
        """Return None: the estimator's patience holds."""
        return None

    def cut(self, replica: int) -> bool:
        """Return False: a stalled replica stops."""
        return False

    def export(self) -> dict[str, Any]:
        """Return what a later fit needs in order to go on."""
        states = [driver.optimizer.state_dict()["state"] for driver in self.drivers]
        return {"classes": self._classes, "torch": states}

    @property
    def _classes(self) -> list[str]:
        kinds = [type(driver.optimizer) for driver in self.drivers]
        return [f"{kind.__module__}.{kind.__qualname__}" for kind in kinds]

    def resume(self, exported: dict[str, Any]) -> "TorchState":
        """Take up an exported state, with this one's hyper-parameters."""
        if exported["classes"] != self._classes:
            return self
        for driver, state in zip(self.drivers, exported["torch"], strict=True):
            for index, remembered in state.items():
                # load_state_dict would cast counters to the parameters' dtype.
                parameter = driver.parameters[index]
                driver.optimizer.state[parameter] = _tensors(remembered, parameter)
        return self


def _tensors(tree: Any, parameter: Tensor) -> Any:
    """Turn the arrays of a nested state into tensors; scalars stay on the CPU, as torch's do."""
    if isinstance(tree, dict):
        return {key: _tensors(value, parameter) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_tensors(value, parameter) for value in tree)
    if not hasattr(tree, "dtype"):
        return tree
    tensor = as_tensor(tree).clone()
    return tensor.to(parameter.device) if tensor.ndim else tensor
