"""The layers and losses of autoencoders: our backward passes against autograd through torch's own
distributions, in float64."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch.distributions import Bernoulli, Normal, kl_divergence

from skbasics._training import Batch
from skbasics.autoencoder._structure import (
    AutoencoderNetwork,
    GaussianCode,
    LinearCode,
    SparseCode,
)
from skbasics.network import (
    BernoulliLikelihood,
    GaussianLikelihood,
    LargestUnits,
    Network,
    ReconstructionObjective,
    SquaredError,
)
from skbasics.network._row_noise import row_noise

K, ROWS, FEATURES, HIDDEN, CODE = 3, 8, 5, 6, 4
ALPHA = 0.2


def make(codes, loss, seed=0, hidden=(HIDDEN,), missing=False, weighted=True):
    """Return an objective over K replicas with the given codes, and a batch."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    stack = [AutoencoderNetwork(FEATURES, hidden, CODE, "tanh", False, (0.0,), c) for c in codes]
    architecture = stack[0].architecture(stack)
    theta, statistics = architecture.initial(torch.zeros((), dtype=torch.float64), K)
    theta += 0.5 * normal(*theta.shape)
    statistics += 0.3
    network = Network(architecture, theta, statistics)
    for layer in network.random_layers:
        layer.seed([np.random.RandomState(k) for k in range(K)], torch.device("cpu"))
    X = torch.sigmoid(normal(K, ROWS, FEATURES))
    if missing:
        X[0, 1, 2] = X[1, 3] = X[2, :, 0] = math.nan
    weights = torch.rand(K, ROWS, 1, generator=generator, dtype=torch.float64)
    weights[0, 2:4] = 0
    keys = torch.arange(K * ROWS).view(K, ROWS, 1)
    totals = weights.sum(1) if weighted else float(ROWS)
    batch = Batch(X, keys, weights if weighted else None, totals)
    return ReconstructionObjective(network, loss, ALPHA), batch


def compare(objective, batch, textbook):
    """Hold losses and gradient against autograd through the textbook's formula, replica by replica.

    `textbook` takes the replica's number, layer parameters, rows and shares, and returns its loss.
    """
    network = objective.network
    with torch.no_grad():
        losses = objective.gradient(batch)
    theta = network.theta.clone().requires_grad_()
    layers = [part for part in network.architecture.split(theta) if part]
    weights = torch.ones(K, ROWS, 1).double() if batch.weights is None else batch.weights
    expected = []
    for k in range(K):
        parameters = [[p[k] for p in part] for part in layers]
        shares = weights[k, :, 0] / weights[k].sum()
        squares = theta[k, : network.architecture.n_decayed].square().sum()
        penalty = ALPHA / 2 * squares / weights[k].sum()
        expected.append(textbook(k, parameters, batch.X[k], shares) + penalty)
    expected = torch.stack(expected)
    expected.sum().backward()
    close = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(losses, expected.detach(), **close)
    torch.testing.assert_close(network.gradient, theta.grad, **close)
    assert network.gradient.abs().max() > 0.01
    _compare_twin(objective, batch, losses)


def _compare_twin(objective, batch, losses):
    """Hold the pure twin, by which Hessians are made, against the same."""
    theta = objective.network.theta.clone().requires_grad_()
    pure = objective._pure_losses(batch, objective._training_pass(batch), theta)
    pure.sum().backward()
    torch.testing.assert_close(pure.detach(), losses, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(theta.grad, objective.network.gradient, rtol=1e-10, atol=1e-10)


def encoded(parameters, x):
    """Return the encoder's output, and the decoder as a function."""
    half = len(parameters) // 2 if len(parameters[-1]) == 2 else (len(parameters) - 1) // 2
    encoder, decoder = parameters[:half], parameters[half : 2 * half]

    def through(layers, a):
        for i, (weight, bias) in enumerate(layers):
            a = F.linear(a, weight, bias[0])
            a = torch.tanh(a) if i < len(layers) - 1 else a
        return a

    return through(encoder, x), lambda z: through(decoder, z)


def half_squares(out, x):
    return (out - x).square().sum(1) / 2


@pytest.mark.parametrize("hidden", [(), (HIDDEN,)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", [SquaredError(), BernoulliLikelihood()], ids=["squares", "yes-no"])
def test_undercomplete(loss, weighted, hidden):
    def textbook(k, parameters, x, shares):
        z, decode = encoded(parameters, x)
        out = decode(z)
        if isinstance(loss, SquaredError):
            return shares @ half_squares(out, x)
        rows = -(x * torch.sigmoid(out).log() + (1 - x) * torch.sigmoid(-out).log()).sum(1)
        return shares @ rows

    compare(*make([LinearCode()] * K, loss, hidden=hidden, weighted=weighted), textbook)


@pytest.mark.parametrize("weighted", [False, True])
def test_divergence_of_mean_activities(weighted):
    strengths, targets = (0.5, 1.0, 2.0), (0.1, 0.2, 0.3)

    def textbook(k, parameters, x, shares):
        z, decode = encoded(parameters, x)
        code = torch.sigmoid(z)
        rates = Bernoulli(probs=shares @ code)
        wanted = Bernoulli(probs=torch.full((CODE,), targets[k], dtype=torch.float64))
        price = strengths[k] * kl_divergence(wanted, rates).sum()
        return shares @ half_squares(decode(code), x) + price

    codes = [SparseCode("kl", s, t, None) for s, t in zip(strengths, targets, strict=True)]
    compare(*make(codes, SquaredError(), weighted=weighted), textbook)


@pytest.mark.parametrize("hidden", [(), (HIDDEN,)])
def test_absolute_activities_before_columns_of_length_one(hidden):
    strengths = (0.5, 1.0, 2.0)

    def textbook(k, parameters, x, shares):
        first = len(parameters) // 2  # of the decoder
        weight, bias = parameters[first]
        parameters[first] = [F.normalize(weight, dim=0), bias]
        z, decode = encoded(parameters, x)
        code = torch.relu(z)
        price = strengths[k] * shares @ code.sum(1)
        return shares @ half_squares(decode(code), x) + price

    codes = [SparseCode("l1", s, 0.0, None) for s in strengths]
    objective, batch = make(codes, SquaredError(), hidden=hidden)
    shape = (hidden or (FEATURES,))[-1], CODE
    n_undecayed = math.prod(shape)  # the columns' lengths mean nothing
    n_weights = sum(math.prod(slot.shape) for slot in objective.slots if slot.name == "coef")
    assert objective.n_decayed == n_weights - n_undecayed
    compare(objective, batch, textbook)


@pytest.mark.parametrize("k", [1, 2, CODE])
def test_largest_units(k):
    def textbook(replica, parameters, x, shares):
        z, decode = encoded(parameters, x)
        rows = []
        for row in z:
            order = sorted(range(CODE), key=lambda j: -row[j])
            threshold = row[order[k]].clamp(max=0) if k < CODE else 0.0
            code = torch.zeros(CODE, dtype=torch.float64)
            for j in order[:k]:
                code[j] = torch.relu(row[j] - threshold)
            rows.append(code)
        return shares @ half_squares(decode(torch.stack(rows)), x)

    compare(*make([SparseCode("topk", 0.0, 0.0, k)] * K, SquaredError()), textbook)


def test_exactly_k_units_are_active_even_where_all_are_negative():
    z = torch.randn(1, 500, 10, generator=torch.Generator().manual_seed(0)) - 2
    assert ((z > 0).sum(-1) < 4).any()
    code = LargestUnits(4).apply([], [], z)
    assert ((code > 0).sum(-1) == 4).all()
    plain = LargestUnits(4).apply([], [], z + 100)
    top = torch.topk(z + 100, 4).values.sort(-1).values
    torch.testing.assert_close(plain.sort(-1).values[..., -4:], top)


def gaussian_code(beta, free_bits=0.0, warmup=0, learns_noise=False, missing=False):
    return GaussianCode(beta, free_bits, warmup, learns_noise, missing)


def elbo_textbook(objective, log_likelihood, betas, free_bits=(0.0,) * K):
    """Return minus the bound, of the draws that the layer has made."""
    (latent,) = objective.network.random_layers

    def textbook(k, parameters, x, shares):
        h, decode = encoded(parameters, torch.where(x.isnan(), 0.3, x))
        posterior = Normal(h[:, :CODE], (h[:, CODE:] / 2).exp())
        z = posterior.mean + posterior.stddev * latent.noise[k]
        prior = Normal(torch.zeros_like(z), torch.ones_like(z))
        divergence = shares @ kl_divergence(posterior, prior)
        price = torch.where(divergence > free_bits[k], divergence, free_bits[k]).sum()
        rows = log_likelihood(decode(z), x, parameters)
        return -(shares @ rows) + betas[k] * price

    return textbook


def observed_sum(values, x):
    return torch.where(x.isnan(), 0.0, values).sum(1)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("likelihood", ["learned", "given", "yes-no"])
def test_evidence_lower_bound(likelihood, missing):
    betas = (0.5, 1.0, 3.0)
    learns = likelihood == "learned"
    codes = [gaussian_code(b, learns_noise=learns, missing=missing) for b in betas]
    loss = {
        "learned": GaussianLikelihood(None, missing),
        "given": GaussianLikelihood(0.7, missing),
        "yes-no": BernoulliLikelihood(missing),
    }[likelihood]

    def log_likelihood(out, x, parameters):
        known = torch.where(x.isnan(), 0.5, x)
        if likelihood == "yes-no":
            logits = Bernoulli(logits=out, validate_args=False)
            return observed_sum(logits.log_prob(known), x)
        data_scale = 1.3  # what `make` set, one and its 0.3
        scale = data_scale * (torch.exp(2 * parameters[-1][0]) + 1e-8).sqrt() if learns else 0.7
        return observed_sum(
            Normal(out, torch.as_tensor(scale, dtype=torch.float64).squeeze()).log_prob(known), x
        )

    objective, batch = make(codes, loss, missing=missing)
    compare(objective, batch, elbo_textbook(objective, log_likelihood, betas))


def test_free_bits_cost_nothing():
    betas, free = (1.0, 2.0, 1.0), (0.0, 0.3, 5.0)
    codes = [gaussian_code(b, f) for b, f in zip(betas, free, strict=True)]
    objective, batch = make(codes, GaussianLikelihood(0.5))

    def log_likelihood(out, x, parameters):
        return Normal(out, 0.5).log_prob(x).sum(1)

    compare(objective, batch, elbo_textbook(objective, log_likelihood, betas, free))


def test_warm_up_raises_the_strength_line_by_line():
    codes = [gaussian_code(2.0, warmup=w) for w in (0, 4, 8)]
    objective, batch = make(codes, GaussianLikelihood(0.5))
    for age in (0, 1, 4, 20):
        betas = [2.0 * (1.0 if w == 0 else min(1.0, age / w)) for w in (0, 4, 8)]
        objective.network.begin_epoch([age] * K)

        def log_likelihood(out, x, parameters):
            return Normal(out, 0.5).log_prob(x).sum(1)

        compare(objective, batch, elbo_textbook(objective, log_likelihood, betas))


def test_recorded_means_are_those_of_the_parts():
    objective, batch = make([gaussian_code(3.0)] * K, GaussianLikelihood(0.5), weighted=False)
    objective.alpha, objective._penalised = 0.0, False
    with torch.no_grad():
        losses = objective.gradient(batch)
    recorded = objective.recorded()
    total = np.array(recorded["reconstruction_loss"]) + 3.0 * np.array(recorded["kl"])
    np.testing.assert_allclose(total, losses.numpy(), rtol=1e-12)
    assert objective.recorded() == {}


def test_noise_is_standard_normal_and_known_by_row_seed_and_column():
    keys = torch.arange(20000)[None, :, None]
    seeds = torch.tensor([[[5]]]) << 32
    noise = row_noise(keys, seeds, 4)
    assert noise.shape == (1, 20000, 4)
    flat = noise.flatten().numpy()
    assert stats.kstest(flat, "norm").pvalue > 0.01
    others = [row_noise(keys, seeds + 1, 4), row_noise(keys + 1, seeds, 4).roll(1, 1)]
    columns = [noise[0, :, j] for j in range(4)] + [others[0][0, :, 0]]
    correlations = np.corrcoef(torch.stack(columns).numpy()) - np.eye(5)
    assert np.abs(correlations).max() < 4 / np.sqrt(20000)
    torch.testing.assert_close(others[1][:, 1:], noise[:, 1:], rtol=0, atol=0)
    order = torch.randperm(20000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(row_noise(keys[:, order], seeds, 4), noise[:, order])
    assert torch.equal(row_noise(keys, seeds, 2), noise[..., :2])
