"""Layers on images: their backward passes against autograd, their forward ones against torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skbasics._training import Batch
from skbasics.network import (
    Architecture,
    Augmentation,
    AveragePooling,
    Convolution,
    Dense,
    Elementwise,
    Flatten,
    Images,
    MaxPooling,
    Network,
    NetworkObjective,
    ResponseNorm,
    SquaredError,
    TrainingPass,
    gaussian,
    glorot_uniform,
)

K, ROWS, OUTPUTS = 3, 4, 2
SHAPES = [(7, 6, 4), (5, 5, 4), (1, 9, 4)]
CONVOLUTIONS = {
    "one by one": ((1, 1), (1, 1), (0, 0, 0, 0), 1),
    "three": ((3, 3), (1, 1), (1, 1, 1, 1), 1),
    "unpadded": ((1, 3), (1, 1), (0, 0, 0, 0), 1),
    "stride": ((3, 2), (2, 3), (1, 1, 1, 1), 1),
    "groups": ((3, 3), (1, 1), (1, 1, 1, 1), 2),
    "a channel each": ((3, 3), (2, 1), (1, 1, 1, 1), 4),
    "even and the same": ((4, 2), (1, 1), (0, 1, 1, 2), 2),
    "far from the edge": ((3, 3), (1, 2), (2, 2, 3, 3), 1),
}
POOLINGS = {
    "halves": ((2, 2), (2, 2)),
    "overlaps": ((3, 2), (2, 1)),
    "leaves gaps": ((1, 2), (1, 3)),
    "everything": (None, (1, 1)),
}


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def network_of(shape, *layers, last=None, channels_first=False, front=()):
    """Return a stack: images, the layers, and a dense layer on what they leave."""
    images = Images(shape, channels_first=channels_first)
    height, width, n_channels = last or layers[-1].out_shape
    head = [
        Flatten((height, width, n_channels), images),
        Dense(height * width * n_channels, OUTPUTS),
    ]
    architecture = Architecture([images, *front, *layers, *head])
    theta, statistics = architecture.initial(torch.zeros((), dtype=torch.float64), K)
    theta += 0.5 * normal(*theta.shape)
    return Network(architecture, theta, statistics)


def check(network, shape, weighted=True):
    """Hold losses and gradient of a batch against autograd through the pure twins."""
    X, y = normal(K, ROWS, int(np.prod(shape)), seed=1), normal(K, ROWS, OUTPUTS, seed=2)
    weights = normal(K, ROWS, 1, seed=3).abs() if weighted else None
    batch = Batch(X, y, weights, weights.sum(1) if weighted else float(ROWS))
    objective = NetworkObjective(network, SquaredError(), 0.3)
    with torch.no_grad():
        losses = objective.gradient(batch).clone()
    theta = network.theta.clone().requires_grad_()
    Z = network.architecture.apply(theta, network.statistics, X, training=TrainingPass(weights))
    rows = 0.5 * (Z - y).square().sum(2)
    shares = (
        torch.full_like(rows, 1 / ROWS)
        if weights is None
        else (weights / weights.sum(1, True))[..., 0]
    )
    totals = ROWS if weights is None else weights.sum((1, 2))
    squares = theta[:, : network.architecture.n_decayed].square().sum(1)
    expected = (shares * rows).sum(1) + 0.15 * squares / totals
    expected.sum().backward()
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(network.gradient, theta.grad, rtol=1e-10, atol=1e-10)


def convolution(shape, kind, n_filters=4):
    kernel, stride, padding, groups = CONVOLUTIONS[kind]
    return Convolution(shape, n_filters, kernel, stride=stride, padding=padding, groups=groups)


def pooling(cls, shape, kind):
    size, stride = POOLINGS[kind]
    size = size or shape[:2]
    return cls(shape, (min(size[0], shape[0]), size[1]), stride)


def fits(shape, kind):
    kernel, _, (left, right, top, bottom), _ = CONVOLUTIONS[kind]
    return kernel[0] <= shape[0] + top + bottom and kernel[1] <= shape[1] + left + right


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_convolutions_backward(kind, shape, channels_first):
    if not fits(shape, kind):
        shape = (4, *shape[1:])
    first = convolution(shape, kind)
    second = Convolution(first.out_shape, 6, (1, 2), stride=(1, 1), padding=(0, 1, 0, 0), groups=2)
    layers = [first, Elementwise("tanh"), second]
    check(network_of(shape, *layers, channels_first=channels_first), shape)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", POOLINGS)
@pytest.mark.parametrize("cls", [MaxPooling, AveragePooling])
def test_poolings_backward(cls, kind, shape, activation):
    first = convolution(shape, "one by one")
    pool = pooling(cls, first.out_shape, kind)
    check(network_of(shape, first, Elementwise(activation), pool), shape, weighted=False)
    check(network_of(shape, first, pool, Elementwise(activation), last=pool.out_shape), shape)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 12])
def test_response_norm_backward(size):
    shape = (3, 4, 4)
    first = convolution(shape, "three", n_filters=8)
    layers = [first, ResponseNorm(size, 0.3, 0.75, 1.5)]
    check(network_of(shape, *layers, last=first.out_shape), shape)


def test_augmentation_backward():
    shape = (3, 4, 4)
    first = convolution(shape, "three")
    front = [Augmentation(lambda images, generator: images.flip(2))]
    network = network_of(shape, first, front=front)
    states = [np.random.RandomState(k) for k in range(K)]
    network.random_layers[0].seed(states, torch.device("cpu"))
    check(network, shape)


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_is_the_sum_that_it_says(kind):
    shape = (5, 6, 4)
    layer = convolution(shape, kind)
    kernel, stride, (left, right, top, bottom), groups = CONVOLUTIONS[kind]
    weight, bias = normal(*layer.parameter_shapes[0].shape), normal(1, 4, seed=5)
    X = normal(2, 4, 5, 6, seed=4)
    Z = layer.apply([weight[None], bias[None]], [], X[None])[0]
    padded = np.pad(X.numpy(), [(0, 0), (0, 0), (top, bottom), (left, right)])
    assert tuple(Z.shape[2:]) == layer.out_shape[:2]
    own = 4 // groups
    for n, o, i, j in np.ndindex(*Z.shape):
        group = o // (4 // groups)
        window = padded[
            n,
            group * own : (group + 1) * own,
            i * stride[0] : i * stride[0] + kernel[0],
            j * stride[1] : j * stride[1] + kernel[1],
        ]
        expected = bias[0, o] + (weight[o].numpy() * window).sum()
        assert abs(Z[n, o, i, j] - expected) < 1e-12


def test_response_norm_is_the_formula_and_torch_divides_alpha():
    layer = ResponseNorm(5, 1e-2, 0.75, 2.0)
    X = normal(1, 2, 8, 3, 3)
    Y = layer.apply([], [], X)
    for c in range(8):
        near = X[:, :, max(0, c - 2) : c + 3].square().sum(2)
        expected = X[:, :, c] / (2 + 1e-2 * near) ** 0.75
        torch.testing.assert_close(Y[:, :, c], expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(
        Y[0], F.local_response_norm(X[0], 5, alpha=5e-2, beta=0.75, k=2.0), rtol=1e-13, atol=1e-13
    )


def test_a_maximum_stands_still_for_small_shifts_alone():
    """A point that moves within its window changes nothing; beyond, its maximum moves too."""
    pool = MaxPooling((1, 8, 1), (1, 4), (1, 4))
    assert pool.parameter_shapes == ()

    def pooled(place):
        image = torch.zeros(1, 1, 1, 1, 8, dtype=torch.float64)
        image[..., place] = 1
        return pool.apply([], [], image).flatten().tolist()

    assert [pooled(place) for place in range(4)] == [[1, 0]] * 4
    assert pooled(4) == [0, 1]


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
def test_modules_compute_the_same():
    shape = (9, 8, 4)
    first = convolution(shape, "even and the same")
    norm, pool = ResponseNorm(3, 0.1, 0.5, 1.0), MaxPooling(first.out_shape, (3, 2), (2, 2))
    second = convolution(pool.out_shape, "stride")
    average = AveragePooling(second.out_shape, (1, 1), (1, 1))
    network = network_of(shape, first, norm, pool, second, average)
    rows = network.theta[:1], network.statistics[:1]
    module = network.architecture.to_module(*rows)
    X = normal(5, 9 * 8 * 4, seed=7)
    images = X.view(5, 9, 8, 4).permute(0, 3, 1, 2)
    Z = network.architecture.apply(*rows, X[None])[0]
    torch.testing.assert_close(module(images).detach(), Z, rtol=1e-12, atol=1e-12)
    assert not any(isinstance(part, nn.Identity) for part in module)


def test_glorot_counts_the_places_of_a_kernel():
    layer = Convolution((8, 8, 4), 6, (5, 3), stride=(1, 1), padding=(0, 0, 0, 0), groups=2)
    assert (layer.fan_in, layer.fan_out) == (2 * 15, 3 * 15)
    row = glorot_uniform(Architecture([layer]), np.random.RandomState(0), 6.0)
    bound = np.sqrt(6 / (30 + 45))
    assert abs(row).max() <= bound
    assert abs(row).max() > 0.95 * bound


def test_gaussian_weights_and_given_biases():
    layers = [Convolution((30, 30, 4), 50, (5, 5), stride=(1, 1), padding=(0,) * 4, groups=1)]
    layers += [Dense(40, 100)]
    architecture = Architecture(layers)
    row = gaussian(architecture, np.random.RandomState(0), 0.3, (1.0, -2.0))
    weights = row[: architecture.n_decayed]
    assert abs(weights.std() / 0.3 - 1) < 5 / np.sqrt(2 * len(weights))
    assert abs(weights.mean()) < 5 * 0.3 / np.sqrt(len(weights))
    assert row[architecture.n_decayed :].tolist() == [1.0] * 50 + [-2.0] * 100
