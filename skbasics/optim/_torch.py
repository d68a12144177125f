"""Any optimizer class of torch's kind, driven from outside."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skbasics._arrays import as_tensor
from skbasics.optim._base import Optimizer, Stepwise, check_repeatable
from skbasics.optim._state import OptimizerState


@dataclass(frozen=True)
class TorchOptimizer(Stepwise):
    """A ``torch.optim``-style class as an optimizer.

    Each replica gets an instance of its own, over one parameter for each weight and bias, so
    that rules which look at shapes (Muon, Shampoo) see matrices; a bias is a matrix of one row. It
    takes no schedule and no
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

    def gentler(self) -> dict[str, Any]:
        params = self.params or {}
        return {"params": params | {"lr": params["lr"] / 10}} if "lr" in params else {}

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
        parameters = [nn.Parameter(slot.view(objective.theta)[replica]) for slot in objective.slots]
        gradients = [slot.view(objective.theta_gradient)[replica] for slot in objective.slots]
        self._gradients = list(zip(parameters, gradients, strict=True))
        self.optimizer = spec.cls(parameters, **(spec.params or {}))
        needed = ("step", "param_groups", "state", "state_dict")
        if not all(hasattr(self.optimizer, name) for name in needed):
            raise ValueError(
                f"TorchOptimizer: cls made a {type(self.optimizer).__name__} of the parameters; "
                f"an optimizer of torch's kind has {', '.join(needed)}."
            )
        self._fresh = copy.deepcopy(self._options)

    @property
    def _options(self) -> list[dict[str, Any]]:
        """What the groups hold beside the parameters."""
        groups = self.optimizer.param_groups
        return [{name: v for name, v in group.items() if name != "params"} for group in groups]

    def step(self, objective: Any, batch: Any, losses: Tensor) -> None:
        known, start = losses, objective.theta[self.replica].clone()

        def closure() -> Tensor:
            values = known
            # Line searches and perturbing rules call it where the gradient is not yet known.
            if evaluated or not torch.equal(objective.theta[self.replica], start):
                check_repeatable(objective, type(self.optimizer).__name__)
                with torch.no_grad():
                    values = objective.gradient(batch)
            evaluated.append(True)
            self._show_gradients()
            return values[self.replica].detach()

        evaluated: list[bool] = []
        self._show_gradients()
        self.optimizer.step(closure)

    def _show_gradients(self) -> None:
        # Anew each time, for a class may have called its zero_grad().
        for parameter, gradient in self._gradients:
            parameter.grad = gradient

    def switch(self, mode: str) -> None:
        """Call the class's ``train`` or ``eval``, if it has them (averages of iterates)."""
        getattr(self.optimizer, mode, lambda: None)()

    def changed(self) -> list[dict[str, Any]]:
        """Return what training has changed in the groups: counters, sums of weights."""
        return [
            {name: v for name, v in now.items() if not _same(v, fresh.get(name))}
            for now, fresh in zip(self._options, self._fresh, strict=True)
        ]

    def resume(self, state: dict[int, Any], changed: list[dict[str, Any]]) -> None:
        """Take up what another instance remembered, with this one's hyper-parameters."""
        groups = self.optimizer.param_groups
        for group, entries in zip(groups, changed, strict=True):
            group.update(_tensors(entries, group["params"][0], group))
        # The state is numbered in the order of the groups, which need not be that of theta.
        places = [(group, parameter) for group in groups for parameter in group["params"]]
        for index, remembered in state.items():
            # load_state_dict would cast counters to the parameters' dtype.
            group, parameter = places[index]
            self.optimizer.state[parameter] = _tensors(remembered, parameter, group)


class TorchState(OptimizerState):
    """The instances of K replicas."""

    def __init__(self, drivers: list[_Driver]) -> None:
        super().__init__(len(drivers))
        self.drivers = drivers

    def train(self) -> None:
        for driver in self.drivers:
            driver.switch("train")

    def eval(self) -> None:
        for driver in self.drivers:
            driver.switch("eval")

    def current_rates(self) -> list[float]:
        groups = [driver.optimizer.param_groups[0] for driver in self.drivers]
        return [float(group.get("lr", math.nan)) for group in groups]

    def export(self) -> dict[str, Any]:
        states = [driver.optimizer.state_dict()["state"] for driver in self.drivers]
        changed = [driver.changed() for driver in self.drivers]
        return {"classes": self._classes, "torch": states, "groups": changed}

    @property
    def _classes(self) -> list[str]:
        kinds = [type(driver.optimizer) for driver in self.drivers]
        return [f"{kind.__module__}.{kind.__qualname__}" for kind in kinds]

    def resume(self, exported: dict[str, Any]) -> "TorchState":
        if exported["classes"] == self._classes:
            parts = zip(self.drivers, exported["torch"], exported["groups"], strict=True)
            for driver, state, changed in parts:
                driver.resume(state, changed)
        return self


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and torch.equal(a, b)
    return type(a) is type(b) and a == b


def _tensors(tree: Any, parameter: Tensor, group: dict[str, Any]) -> Any:
    """Turn the arrays of a nested state into tensors, each on the device where torch has it."""
    if isinstance(tree, dict):
        return {key: _tensors(value, parameter, group) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_tensors(value, parameter, group) for value in tree)
    if not hasattr(tree, "dtype"):
        return tree
    tensor = as_tensor(tree).clone()
    # Counters stay on the CPU, unless the kernel reads them itself.
    moved = tensor.ndim > 0 or group.get("fused") or group.get("capturable")
    return tensor.to(parameter.device) if moved else tensor
