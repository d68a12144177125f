"""Time fits on a device beside torch's own loop: ``python tests/benchmarks/gpu.py``.

An MLP, a convolutional network and a variational autoencoder on random images of MNIST's size
(what is learned is of no interest here), batches of 200, Adam; the loop has its data on the device
and the fused Adam. Then a stack of a thousand small networks beside a loop over some of them.
The contenders take turns in one process, for both are torch; the device is waited for before the
clock is read. ``--device cpu --rows 2000 --networks 50`` tries the script where there is no GPU.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from run import paired_ratio
from torch import Tensor, nn
from torch.nn import functional as F

from skbasics import Conv2d, ConvNetClassifier, MaxPool2d, MLPClassifier, VAETransformer
from skbasics._stack import Job, fit_side_by_side

BATCH, HIDDEN, LATENTS, N_EPOCHS = 200, 256, 10, 5
FEW = 20
QUIET = {"max_iter": N_EPOCHS, "n_iter_no_change": np.inf, "batch_size": BATCH, "random_state": 0}


def images(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random images between 0 and 1, and ten classes."""
    generator = np.random.default_rng(0)
    return generator.random((n_rows, 784), np.float32), generator.integers(0, 10, n_rows)


def train(model: nn.Module, loss: Callable, X: Tensor, y: Tensor, n_epochs: int) -> None:
    """Train as one would write it in torch."""
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    for _ in range(n_epochs):
        for index in torch.randperm(len(X), device=X.device).split(BATCH):
            optimizer.zero_grad()
            loss(model(X[index]), X[index], y[index]).backward()
            optimizer.step()


def cross_entropy(outputs: Tensor, X: Tensor, y: Tensor) -> Tensor:
    """Return the loss of a classifier."""
    return F.cross_entropy(outputs, y)


def mlp(hidden: int = HIDDEN, n_inputs: int = 784) -> nn.Module:
    """Return a network of one hidden layer."""
    return nn.Sequential(nn.Linear(n_inputs, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def convnet() -> nn.Module:
    """Return the layers of the estimator below."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


class VAE(nn.Module):
    """A variational autoencoder of one hidden layer either way."""

    def __init__(self) -> None:
        super().__init__()
        layers = (784, HIDDEN, 2 * LATENTS), (LATENTS, HIDDEN, 784)
        self.encoder, self.decoder = (
            nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c)) for a, b, c in layers
        )

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, means and log variances."""
        mean, log_variance = self.encoder(X).chunk(2, -1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        return self.decoder(z), mean, log_variance


def bound(outputs: tuple[Tensor, Tensor, Tensor], X: Tensor, y: Tensor) -> Tensor:
    """Return the negative bound."""
    logits, mean, log_variance = outputs
    kl = (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2
    return (F.binary_cross_entropy_with_logits(logits, X, reduction="sum") + kl) / len(X)


def timed(device: str, function: Callable[[], object]) -> float:
    """Return the seconds until the device has done its work."""
    start = time.perf_counter()
    function()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def line(name: str, device: str, ours: Callable, loop: Callable, rounds: int, scale: float) -> None:
    """Print the medians of two contenders in turn, the loop's times a scale."""
    for function in (ours, loop):
        function()
    pairs = [(timed(device, ours), scale * timed(device, loop)) for _ in range(rounds)]
    own, other = (list(times) for times in zip(*pairs, strict=True))
    medians = statistics.median(own), statistics.median(other)
    print(
        f"| {name} | {medians[0]:.3f} | {medians[1]:.3f} | {paired_ratio(own, other):.2f} |",
        flush=True,
    )


def single_fits(device: str, n_rows: int, rounds: int) -> None:
    """Print the rows of one network at a time."""
    X, y = images(n_rows)
    there, labels = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    layers = [Conv2d(32, 3), MaxPool2d(2), Conv2d(64, 3), MaxPool2d(2)]
    convolutional = ConvNetClassifier(
        layers, hidden_layer_sizes=(128,), image_shape=(28, 28), device=device, **QUIET
    )
    variational = VAETransformer(LATENTS, (HIDDEN,), likelihood="bernoulli", device=device, **QUIET)
    cases = [
        ("MLP", MLPClassifier((HIDDEN,), device=device, **QUIET), mlp, cross_entropy),
        ("ConvNet", convolutional, convnet, cross_entropy),
        ("VAE", variational, VAE, bound),
    ]
    for name, estimator, module, loss in cases:
        line(
            f"{name}, {n_rows} rows",
            device,
            lambda estimator=estimator: estimator.fit(X, y),
            lambda module=module, loss=loss: train(
                module().to(device), loss, there, labels, N_EPOCHS
            ),
            rounds,
            1,
        )


def stack(device: str, n_networks: int, rounds: int) -> None:
    """Print the row of many small networks."""
    X, y = images(1000)
    X = np.ascontiguousarray(X[:, :64])
    there, labels = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)

    def ours() -> None:
        settings = QUIET | {"device": device}
        jobs = [
            Job(MLPClassifier((16,), **settings | {"random_state": k}), X, y)
            for k in range(n_networks)
        ]
        fit_side_by_side(jobs, stack_size=n_networks)

    def loop() -> None:
        for _ in range(FEW):
            train(mlp(16, 64).to(device), cross_entropy, there, labels, N_EPOCHS)

    name = f"{n_networks} networks of 16 units (loop: {FEW} times {n_networks / FEW:g})"
    line(name, device, ours, loop, rounds, n_networks / FEW)


def main() -> None:
    """Run the comparisons and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    cuda = arguments.device.startswith("cuda")
    print(torch.cuda.get_device_name() if cuda else arguments.device)
    print(
        f"{N_EPOCHS} epochs, float32\n\n| fit | ours s | loop s | loop / ours |\n|---|---|---|---|"
    )
    single_fits(arguments.device, arguments.rows, arguments.rounds)
    stack(arguments.device, arguments.networks, arguments.rounds)


if __name__ == "__main__":
    main()
