"""Hyper-parameters that are objects: optimizers, schedules, losses.

A value is what its constructor was given and nothing else. It never changes, so two
estimators may share one, and a grid search may set a part of it (``optimizer__momentum``)
by replacing it with a changed copy.
"""

from dataclasses import fields, replace
from typing import Any, ClassVar, Self

from skbasics._sklearn import validate_parameter_constraints


class Value:
    """Base of the frozen dataclasses that serve as hyper-parameters.

    Subclasses are declared with ``@dataclass(frozen=True)``, which writes the constructor,
    the comparison and the representation; this class adds what scikit-learn asks of a
    parameter object: ``get_params`` (so that it can be cloned and searched over) and
    validation at ``fit``.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments, with those of nested values when `deep`."""
        params = {field.name: getattr(self, field.name) for field in fields(self)}
        if deep:
            for name, nested in list(params.items()):
                if isinstance(nested, Value):
                    inner = nested.get_params().items()
                    params.update({f"{name}__{key}": value for key, value in inner})
        return params

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some parameters changed; ``a__b`` reaches a nested value.

        Raises
        ------
        ValueError
            If the value has no parameter of that name; the message lists those it has.
        """
        flat: dict[str, Any] = {}
        nested: dict[str, dict[str, Any]] = {}
        known = [field.name for field in fields(self)]
        for key, value in changes.items():
            name, _, rest = key.partition("__")
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for {type(self).__name__}. "
                    f"Valid parameters are: {known}."
                )
            if rest:
                nested.setdefault(name, {})[rest] = value
            else:
                flat[name] = value
        for name, inner in nested.items():
            flat[name] = _replace_nested(self, name, flat.get(name, getattr(self, name)), inner)
        return replace(self, **flat)

    def validate(self) -> None:
        """Check every parameter, with scikit-learn's sentence when one is out of range."""
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        for nested in self.get_params(deep=False).values():
            if isinstance(nested, Value):
                nested.validate()


def _replace_nested(owner: Value, name: str, value: Any, changes: dict[str, Any]) -> Value:
    if not isinstance(value, Value):
        raise ValueError(
            f"The {name!r} parameter of {type(owner).__name__} is {value!r}, which has no "
            f"parameters of its own. Set {name!r} itself, or to an object that has "
            f"{sorted(changes)} first."
        )
    return value.replace(**changes)
