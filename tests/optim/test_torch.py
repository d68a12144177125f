"""Classes of torch's kind: torch's own, and stand-ins for what other packages offer."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

from skbasics import MLPClassifier, TorchOptimizer, minimize

STEPS = 50
X, y = load_iris(return_X_y=True)
X = scale(X)


def rosenbrock(x):
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1) / 100


def starts(n_starts=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n_starts, 4, generator=generator, dtype=torch.float64)


class SharpnessAware(torch.optim.SGD):
    """Takes the gradient uphill: it wants a closure, and forgets gradients on the way."""

    def __init__(self, params, lr, rho=0.05):
        super().__init__(params, lr=lr)
        self.rho = rho

    @torch.no_grad()
    def step(self, closure):
        loss = closure()
        parameters = [p for group in self.param_groups for p in group["params"]]
        norm = torch.stack([p.grad.norm() for p in parameters]).norm()
        moves = [p.grad * (self.rho / norm) for p in parameters]
        for p, move in zip(parameters, moves, strict=True):
            p.add_(move)
        self.zero_grad()
        closure()
        for p, move in zip(parameters, moves, strict=True):
            p.sub_(move)
        super().step()
        return loss


class AveragedSGD(torch.optim.Optimizer):
    """Trains at one point and predicts at another: it must be told by train() and eval().

    The average of the iterates is what predicts; its weight is kept in the group.
    """

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr, "count": 0, "training": False})

    @torch.no_grad()
    def _swap(self, training):
        for group in self.param_groups:
            if group["training"] != training:
                group["training"] = training
                for p in group["params"]:
                    other = self.state[p].setdefault("other", p.clone())
                    kept = p.clone()
                    p.copy_(other)
                    other.copy_(kept)

    def train(self):
        self._swap(True)

    def eval(self):
        self._swap(False)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            assert group["training"], "step() without train()"
            group["count"] += 1
            for p in group["params"]:
                p.sub_(p.grad, alpha=group["lr"])
                self.state[p]["other"].lerp_(p, 1 / group["count"])


class NotOfTorch:
    """Has what a driver needs and inherits nothing: no state, no hyper-parameter "lr"."""

    def __init__(self, parameters, rate):
        self.param_groups = [{"params": list(parameters), "rate": rate}]
        self.state = {}

    def state_dict(self):
        return {"state": {}, "param_groups": []}

    def step(self, closure):
        closure()
        for p in self.param_groups[0]["params"]:
            p.data.sub_(p.grad.sign() * self.param_groups[0]["rate"])


MUON = getattr(torch.optim, "Muon", None)  # torch has it from 2.9 on
ANY = [
    TorchOptimizer(torch.optim.NAdam, {"lr": 0.02}),
    *([TorchOptimizer(MUON, {"lr": 0.05})] if MUON else []),
    TorchOptimizer(torch.optim.LBFGS, {"line_search_fn": "strong_wolfe"}),
    TorchOptimizer(SharpnessAware, {"lr": 0.2}),
    TorchOptimizer(AveragedSGD, {"lr": 0.5}),
    TorchOptimizer(NotOfTorch, {"rate": 0.01}),
]
EVERY = pytest.mark.parametrize("optimizer", ANY, ids=lambda value: value.cls.__name__)


def mlp(optimizer, **options):
    return MLPClassifier((8,), optimizer=optimizer, max_iter=40, random_state=0, **options)


@EVERY
def test_fit_and_partial_fit(optimizer):
    assert mlp(optimizer).fit(X, y).score(X, y) > 0.9
    stream = mlp(optimizer)
    for _ in range(40):
        stream.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_allclose(stream.coefs_[0], mlp(optimizer, tol=0).fit(X, y).coefs_[0], 1e-9)


@EVERY
def test_clone_search_and_pickle(optimizer):
    assert clone(mlp(optimizer)).optimizer == optimizer
    grid = {"optimizer": [optimizer], "alpha": [1e-4, 1.0]}
    search = GridSearchCV(mlp("adam"), grid, cv=2, error_score="raise").fit(X, y)
    copy = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(copy.predict(X), search.predict(X))
    copy.best_estimator_.partial_fit(X, y)


@EVERY
def test_ten_epochs_and_ten_more_are_twenty(optimizer):
    options = {"tol": 0, "warm_start": True, "batch_size": 50}
    halves = mlp(optimizer, **options).set_params(max_iter=10)
    halves = pickle.loads(pickle.dumps(halves.fit(X, y))).fit(X, y)
    whole = mlp(optimizer, **options).set_params(max_iter=20).fit(X, y)
    np.testing.assert_array_equal(halves.coefs_[0], whole.coefs_[0])


class Grouped(torch.optim.SGD):
    """Sorts the parameters into groups of its own, and counts in a tensor that it changes."""

    def __init__(self, params, lr):
        vectors = [p for p in params if p.shape[0] == 1]
        matrices = [p for p in params if p.shape[0] > 1]
        groups = [{"params": vectors}, {"params": matrices[::-1], "weight_decay": 0.1}]
        super().__init__(groups, lr=lr, momentum=0.9)
        for group in self.param_groups:
            group["count"] = torch.zeros(())

    def step(self, closure=None):
        for group in self.param_groups:
            group["count"] += 1
            group["lr"] = 0.1 / float(group["count"])
        return super().step()


def test_what_is_remembered_finds_its_parameter():
    options = {"tol": 0, "warm_start": True, "batch_size": 50, "random_state": 0}
    rule = TorchOptimizer(Grouped, {"lr": 0.1})
    halves = MLPClassifier((4, 4), optimizer=rule, max_iter=10, **options).fit(X, y).fit(X, y)
    whole = MLPClassifier((4, 4), optimizer=rule, max_iter=20, **options).fit(X, y)
    np.testing.assert_array_equal(halves.coefs_[1], whole.coefs_[1])


def test_what_is_no_optimizer_is_named():
    with pytest.raises(ValueError, match="cls made a dict of the parameters; an optimizer"):
        mlp(TorchOptimizer(lambda parameters: {})).fit(X, y)


def test_averages_are_what_predicts():
    """SGD by hand from the same weights; its iterates' mean must be the network's."""
    first = mlp("sgd", batch_size=150, shuffle=False).set_params(max_iter=1)
    steps = [
        first.set_params(max_iter=n, optimizer__learning_rate=0.2, tol=0).fit(X, y).coefs_[0]
        for n in range(1, 6)
    ]
    averaged = mlp(TorchOptimizer(AveragedSGD, {"lr": 0.2}), batch_size=150, tol=0)
    averaged.set_params(max_iter=5).fit(X, y)
    np.testing.assert_allclose(averaged.coefs_[0], np.mean(steps, axis=0), rtol=1e-9)


@pytest.mark.skipif(MUON is None, reason="this torch has no Muon")
def test_muon_sees_the_matrices_of_the_network():
    """One step from the same weights equals torch's own step on a module's weights."""
    optimizer = TorchOptimizer(MUON, {"lr": 0.1})
    seen = mlp(optimizer, alpha=0.0, batch_size=150).set_params(max_iter=1)
    seen.fit(X, y)
    reference = mlp("sgd", alpha=0.0, batch_size=150).set_params(max_iter=1)
    module = reference.set_params(optimizer__learning_rate=1e-300).fit(X, y).to_torch()
    weights = [p for p in module.parameters() if p.ndim == 2]
    muon = MUON(weights, lr=0.1)
    logits = module(torch.from_numpy(X))
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(y)).backward()
    muon.step()
    for ours, theirs in zip(seen.coefs_, weights, strict=True):
        np.testing.assert_allclose(ours.T, theirs.detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("cls", "params"),
    [
        (torch.optim.NAdam, {"lr": 0.01}),
        (torch.optim.Adagrad, {"lr": 0.1}),
        (torch.optim.SGD, {"lr": 0.02, "momentum": 0.8}),
    ],
)
def test_each_start_has_an_instance_of_its_own(cls, params):
    found = minimize(rosenbrock, starts(), optimizer=TorchOptimizer(cls, params), max_iter=STEPS)
    for k in range(3):
        parameter = torch.nn.Parameter(starts()[k].clone())
        alone = cls([parameter], **params)
        for _ in range(STEPS):
            alone.zero_grad()
            rosenbrock(parameter).backward()
            alone.step()
        torch.testing.assert_close(found.x[k], parameter.detach(), rtol=1e-9, atol=1e-9)


def test_a_closure_is_evaluated_where_the_line_search_asks():
    options = {"line_search_fn": "strong_wolfe", "tolerance_grad": 0, "tolerance_change": 0}
    found = minimize(rosenbrock, starts(1), optimizer=TorchOptimizer(torch.optim.LBFGS, options))
    torch.testing.assert_close(found.x, torch.ones(1, 4).double(), atol=1e-3, rtol=0)
    assert found.success.all()


def test_it_is_a_value():
    a = TorchOptimizer(torch.optim.NAdam, {"lr": 0.01})
    b = TorchOptimizer(torch.optim.NAdam, {"lr": 0.01})
    assert a == b
    assert hash(a) == hash(b)
    assert a != TorchOptimizer(torch.optim.NAdam, {"lr": 0.02})
