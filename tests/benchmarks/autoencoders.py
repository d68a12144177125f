"""Time a variational autoencoder beside a loop: ``python tests/benchmarks/autoencoders.py PATH``.

PATH is an npz file of MNIST (Xtr, Xte: uint8 rows). The model has 256 hidden units, 10 latents and
a Bernoulli likelihood, on batches of 200, by Adam; the loop is what one would write in torch, with
its own Adam and its fused one. Each contender lives in a process of its own, and they take turns
(see run.py). The ELBO of test rows, each by 64 draws, shows that the work was the same.
"""

import argparse
import ast
import os
import statistics
import sys
import time
import warnings

import numpy as np
from run import Contender, compare, paired_ratio

CONTENDERS = ("skbasics", "torch loop", "torch loop, fused Adam")
CASES = (("MNIST", 6000, 15), ("digits", 1400, 60))
HIDDEN, LATENTS, BATCH = 256, 10, 200


def rows(case: str, n_rows: int, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return training and test rows between 0 and 1."""
    if case == "digits":
        from sklearn.datasets import load_digits

        X = (load_digits().data / 16).astype(np.float32)
        return X[:n_rows], X[n_rows:]
    with np.load(path) as data:
        return tuple((X / 255).astype(np.float32) for X in (data["Xtr"][:n_rows], data["Xte"]))


class Ours:
    """The estimator."""

    def __init__(self, name: str) -> None:
        from skbasics import VAETransformer

        self.make = VAETransformer

    def fit(self, X: np.ndarray, n_epochs: int, seed: int) -> None:
        """Train."""
        self.model = self.make(
            LATENTS,
            (HIDDEN,),
            likelihood="bernoulli",
            max_iter=n_epochs,
            tol=0,
            random_state=seed,
        ).fit(X)

    def elbo(self, X: np.ndarray) -> float:
        """Return the mean bound."""
        return self.model.score(X)


class Loop:
    """What one would write in torch."""

    def __init__(self, name: str) -> None:
        import torch

        self.torch, self.fused = torch, True if "fused" in name else None

    def fit(self, X: np.ndarray, n_epochs: int, seed: int) -> None:
        """Train."""
        torch, nn, width = self.torch, self.torch.nn, X.shape[1]
        X = torch.from_numpy(X)
        torch.manual_seed(seed)
        self.encoder = nn.Sequential(
            nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENTS)
        )
        self.decoder = nn.Sequential(
            nn.Linear(LATENTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, width)
        )
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        optimizer = torch.optim.Adam(parameters, fused=self.fused)
        for _ in range(n_epochs):
            for some in torch.randperm(len(X)).split(BATCH):
                loss = -self.bound(X[some]).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    def bound(self, X: object) -> object:
        """Return the bound of each row, by one draw."""
        torch = self.torch
        mean, log_variance = self.encoder(X).chunk(2, -1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        kl = (mean**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2
        cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
        return -cross_entropy(self.decoder(z), X, reduction="none").sum(1) - kl

    def elbo(self, X: np.ndarray) -> float:
        """Return the mean bound."""
        with self.torch.no_grad():
            X = self.torch.from_numpy(X)
            return float(np.mean([self.bound(X).mean().item() for _ in range(64)]))


def serve(name: str, path: str) -> None:
    """Answer requests on standard input: seconds, and the bound of test rows."""
    warnings.simplefilter("ignore")
    contender = (Loop if "loop" in name else Ours)(name)
    for line in sys.stdin:
        case, n_rows, n_epochs, seed = ast.literal_eval(line)
        X, X_test = rows(case, n_rows, path)
        start = time.perf_counter()
        contender.fit(X, n_epochs, seed)
        seconds = time.perf_counter() - start
        print(seconds, contender.elbo(X_test), flush=True)


def main() -> None:
    """Run the comparisons and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    contenders = [
        Contender(name, arguments.threads, arguments.mnist, worker="autoencoders.py")
        for name in CONTENDERS
    ]
    print("| data | fit | median s | its time / ours | test ELBO, nats |\n|---|---|---|---|---|")
    try:
        for case, n_rows, n_epochs in CASES:
            results = compare(contenders, (case, n_rows, n_epochs, 0), arguments.rounds)
            seconds = [[answer[0] for answer in answers] for answers in results]
            for name, times, answers in zip(CONTENDERS, seconds, results, strict=True):
                median, ratio = statistics.median(times), paired_ratio(seconds[0], times)
                label = f"{case}, {n_rows} rows, {n_epochs} epochs"
                print(f"| {label} | {name} | {median:.2f} | {ratio:.2f} | {answers[-1][1]:.1f} |")
    finally:
        for contender in contenders:
            contender.close()


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CONTENDERS:
        serve(sys.argv[1], sys.argv[2])
    else:
        main()
