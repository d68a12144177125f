"""Learning rates against torch's schedulers and closed forms."""

import pytest
import torch

from skbasics.optim import Adaptive, Cosine, ExponentialDecay, InverseScaling, OneCycle

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
