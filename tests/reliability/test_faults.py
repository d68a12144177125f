"""What is interrupted, or fails, at any place has not happened."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from tests.reliability.injection import FaultError, Faults, caused_by, frozen, world
from tests.reliability.specimens import SPECIMENS, Specimen

pytestmark = pytest.mark.filterwarnings("ignore:.*does not cover the posterior")
PLACES = 7  # of each operation


@dataclass
class Operation:
    """Something that may change an estimator, and how the estimator comes to stand before it."""

    specimen: Specimen
    name: str
    prepare: Callable[[], Any]
    act: Callable[[Any], Any]

    @property
    def reads(self) -> bool:
        """Whether nothing is learned; what is found on the way may be remembered."""
        return self.name in ("read", "predict")

    def __str__(self) -> str:
        return f"{self.specimen.name}: {self.name}"


def operations(specimen: Specimen) -> Iterator[Operation]:
    """Yield what an estimator can be asked to do that changes it, or might."""
    if "random_state" in specimen.estimator.get_params():
        specimen = replace(specimen, estimator=specimen.new(random_state=0))
    if specimen.kind == "FastICA":  # which would make hundreds of iterations on these rows
        specimen = replace(specimen, estimator=specimen.new(max_iter=10))
    X, y = specimen.data()
    later, y_later = specimen.data(seed=1)
    classes = {} if y is None or y.dtype.kind != "U" else {"classes": np.unique(y)}

    def operation(name: str, prepare: Callable[[], Any], act: Callable[[Any], Any]) -> Operation:
        return Operation(specimen, name, prepare, act)

    def streamed() -> Any:
        return specimen.new().partial_fit(X, y, **classes).partial_fit(later, y_later)

    yield operation("fit", specimen.new, lambda e: e.fit(X, y))
    yield operation("fit again", specimen.fitted, lambda e: e.fit(later, y_later))
    if "warm_start" in specimen.new().get_params():
        warm = {"warm_start": True}
        yield operation("go on", lambda: specimen.fitted(**warm), lambda e: e.fit(X, y))
    if specimen.streams:
        yield operation("begin", specimen.new, lambda e: e.partial_fit(X, y, **classes))
        yield operation("a batch", streamed, lambda e: e.partial_fit(X, y))
        yield operation("read", streamed, lambda e: specimen.outputs(e, X))
    yield operation("predict", specimen.fitted, lambda e: specimen.outputs(e, later))
    if hasattr(specimen.estimator, "merge"):
        other = specimen.new().fit(later)
        yield operation("merge", specimen.fitted, lambda e: e.merge(other))
        yield operation("merge a stream", streamed, lambda e: e.merge(other))
        yield operation("add", specimen.fitted, lambda e: e + other)
    if hasattr(specimen.estimator, "__sub__"):
        part = specimen.new().fit(X[:5])
        yield operation("subtract", specimen.fitted, lambda e: e - part)


OPERATIONS = [operation for specimen in SPECIMENS for operation in operations(specimen)]


def faults_in(operation: Operation, clean: Faults) -> Iterator[Faults]:
    """Yield faults at places evenly over all calls of an operation, errors and interrupts."""
    n_places = min(PLACES, clean.count)
    for i, at in enumerate(np.linspace(1, clean.count, n_places).astype(int)):
        yield Faults(at, KeyboardInterrupt if i % 2 else FaultError)


def suffer(operation: Operation, estimator: Any, faults: Faults) -> None:
    with faults, pytest.raises((Exception, KeyboardInterrupt)) as raised:
        operation.act(estimator)
    assert caused_by(raised.value, faults.error), faults.place


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if not o.reads], ids=str)
def test_a_fault_at_any_place_changes_nothing(operation):
    """One estimator suffers them all, and what it then does equals what another does at once."""
    estimator = operation.prepare()
    spared, counted = copy.deepcopy(estimator), copy.deepcopy(estimator)
    expected = operation.act(spared)  # and what is remembered between calls is remembered
    with Faults() as clean:
        operation.act(counted)
    before, surroundings = frozen(vars(estimator)), world()
    for faults in faults_in(operation, clean):
        suffer(operation, estimator, faults)
        assert frozen(vars(estimator)) == before, faults.place
        assert world() == surroundings, faults.place
    result = operation.act(estimator)
    assert frozen(vars(estimator)) == frozen(vars(spared))
    assert frozen(result) == frozen(expected)


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.reads], ids=str)
def test_a_fault_while_reading_leaves_what_there_is_to_read(operation):
    """Reading may compute and remember; what was half remembered must not be taken for whole."""
    estimator = operation.prepare()
    spared, counted = copy.deepcopy(estimator), copy.deepcopy(estimator)
    expected = frozen(operation.act(spared))
    with Faults() as clean:
        operation.act(counted)
    surroundings = world()
    for faults in faults_in(operation, clean):
        reader = copy.deepcopy(estimator)
        suffer(operation, reader, faults)
        assert world() == surroundings, faults.place
        assert frozen(operation.act(reader)) == expected, faults.place
        assert frozen(vars(reader)) == frozen(vars(spared)), faults.place
