"""Learning rates against torch's schedulers and closed forms."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.neural_network import MLPClassifier as PeerMLP

from skbasics import MLPClassifier
from skbasics.optim import (
    OPTIMIZERS,
    SGD,
    Adaptive,
    Cosine,
    ExponentialDecay,
    InverseScaling,
    OneCycle,
)

STEPS = 40


def torch_rates(scheduler, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = scheduler(optimizer, **options)
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


schedulers = torch.optim.lr_scheduler
CASES = {
    "exponential": (ExponentialDecay(0.3, 0.9), schedulers.ExponentialLR, {"gamma": 0.9}),
    "cosine": (Cosine(0.3), schedulers.CosineAnnealingLR, {"T_max": STEPS}),
    "one cycle": (OneCycle(0.3), schedulers.OneCycleLR, {"max_lr": 0.3, "total_steps": STEPS + 1}),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_against_torch(name):
    schedule, scheduler, options = CASES[name]
    length = options.get("total_steps", STEPS)
    rates = [schedule.at(step, length) for step in range(STEPS)]
    assert rates == pytest.approx(torch_rates(scheduler, **options), rel=1e-9, abs=1e-12)


def test_warm_up_is_linear_and_then_the_cosine_spans_the_rest():
    schedule = Cosine(1.0, n_steps=14, warmup=4)
    assert [schedule.at(t) for t in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert schedule.at(9) == pytest.approx(0.5)
    assert schedule.at(14) == schedule.at(1000) == 0.0


def test_inverse_scaling_is_that_of_scikit_learn_in_steps():
    assert InverseScaling(0.2, power=0.25).at(15) == 0.2 / 16**0.25


def test_a_cycle_of_one_step_is_at_its_peak():
    assert OneCycle(0.1).at(0, 1) == 0.1
    assert max(OneCycle(0.1).at(step, 2) for step in range(2)) == 0.1


def test_adaptive_counts_cuts_alone():
    schedule = Adaptive(0.1, factor=4)
    assert schedule.at(0) == schedule.at(10**6) == 0.1
    assert schedule.at(5, n_cuts=3) == 0.1 / 64


@pytest.mark.parametrize("schedule", [Cosine(0.1), OneCycle(0.1)])
def test_a_span_must_be_known(schedule):
    with pytest.raises(ValueError, match=r"spans a number of steps, and a stream has none"):
        schedule.at(0)
    assert schedule.replace(n_steps=10).at(0) > 0


@pytest.mark.parametrize("batch_size", [50, 150])
def test_adaptive_is_that_of_scikit_learn(batch_size):
    """It is divided at the same epochs, and ends the fit at the same one."""
    X, y = load_iris(return_X_y=True)
    options = {"tol": 1e-2, "n_iter_no_change": 3, "max_iter": 500, "random_state": 0}
    options["batch_size"] = batch_size
    ours = MLPClassifier((5,), optimizer=SGD(Adaptive(0.05)), **options).fit(X, y)
    peer = PeerMLP((5,), solver="sgd", momentum=0.0, nesterovs_momentum=False, **options)
    peer.set_params(learning_rate="adaptive", learning_rate_init=0.05).fit(X, y)
    assert ours.n_iter_ == peer.n_iter_ < 500
    np.testing.assert_allclose(ours.loss_curve_, peer.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(ours.coefs_[0], peer.coefs_[0], rtol=1e-7)
    rates = ours.history_["learning_rate"]
    assert rates[0] == 0.05
    np.testing.assert_allclose(np.unique(rates)[::-1], 0.05 / 5.0 ** np.arange(8))


@pytest.mark.parametrize("name", ["gd", "sgd", "momentum", "nag", "rmsprop", "adam", "adamw"])
def test_every_rule_takes_schedules_and_the_record_shows_them(name):
    X, y = load_iris(return_X_y=True)
    rule = OPTIMIZERS[name](InverseScaling(0.01))
    mlp = MLPClassifier((5,), optimizer=rule, max_iter=4, batch_size=50, random_state=0)
    mlp.fit(X, y)
    np.testing.assert_allclose(
        mlp.history_["learning_rate"], 0.01 / np.sqrt(1 + 3 * np.arange(4)), rtol=1e-12
    )
    constant, number = clone(mlp), clone(mlp)
    constant.set_params(optimizer__learning_rate=ExponentialDecay(0.01, 1.0)).fit(X, y)
    number.set_params(optimizer__learning_rate=0.01).fit(X, y)
    np.testing.assert_array_equal(constant.coefs_[0], number.coefs_[0])
    assert not np.array_equal(mlp.coefs_[0], number.coefs_[0])
