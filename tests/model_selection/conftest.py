"""Counting what is made in stacks."""

from types import SimpleNamespace

import pytest

from skbasics import MLPClassifier, MLPRegressor, _stack
from skbasics._adoption import Trained


def first_order(estimator):
    network = isinstance(estimator, (MLPClassifier, MLPRegressor))
    return network and estimator.optimizer != "lbfgs" and not hasattr(estimator, "_skl_callbacks")


@pytest.fixture
def counted(monkeypatch):
    """The jobs given to stacks, and how many fits found themselves made."""
    seen = SimpleNamespace(jobs=[], adopted=0)
    fit_side_by_side, take = _stack.fit_side_by_side, Trained.take

    def counting_fits(jobs, **options):
        seen.jobs += jobs
        return fit_side_by_side(jobs, **options)

    def counting_adoptions(self, *args):
        found = take(self, *args)
        seen.adopted += found
        return found

    monkeypatch.setattr(_stack, "stackable", first_order)
    monkeypatch.setattr(_stack, "fit_side_by_side", counting_fits)
    monkeypatch.setattr(Trained, "take", counting_adoptions)
    return seen
