"""Hyper-parameter objects: compared, cloned, replaced, never changed."""

import dataclasses
import pickle

import pytest
from sklearn.base import clone

from skbasics.network import Huber, Quantile
from skbasics.optim import SGD, Adam, Cosine, InverseScaling


def test_equal_numbers_make_equal_values():
    assert Adam(3e-4) == Adam(learning_rate=3e-4)
    assert hash(Adam(3e-4)) == hash(Adam(3e-4))
    assert Adam(3e-4) != Adam(4e-4)
    assert SGD(0.1) != Adam(0.1)
    assert len({Huber(1.0), Huber(), Quantile()}) == 2


def test_values_never_change():
    optimizer = Adam()
    with pytest.raises(dataclasses.FrozenInstanceError):
        optimizer.learning_rate = 1.0


def test_replace_makes_a_changed_copy_and_reaches_nested_values():
    optimizer = SGD(InverseScaling(0.1, power=0.5))
    changed = optimizer.replace(learning_rate__power=0.25, max_gradient_norm=2.0)
    assert changed == SGD(InverseScaling(0.1, power=0.25), max_gradient_norm=2.0)
    assert optimizer == SGD(InverseScaling(0.1, power=0.5))
    both = optimizer.replace(learning_rate=Cosine(0.5), learning_rate__warmup=3)
    assert both == SGD(Cosine(0.5, warmup=3))


def test_errors_list_what_there_is():
    with pytest.raises(ValueError, match=r"Invalid parameter 'lr' for Adam.*'learning_rate'"):
        Adam().replace(lr=0.1)
    with pytest.raises(ValueError, match=r"is 0.01, which has no parameters of its own"):
        SGD().replace(learning_rate__power=0.5)


def test_scikit_learn_clones_them_and_pickle_keeps_them():
    optimizer = SGD(InverseScaling(0.1))
    assert clone(optimizer) == optimizer
    assert pickle.loads(pickle.dumps(optimizer)) == optimizer
    assert optimizer.get_params()["learning_rate__initial"] == 0.1
    assert "learning_rate__initial" not in optimizer.get_params(deep=False)
