"""Time convolutional fits beside torch's own loop: ``python tests/benchmarks/convnet.py PATH``.

PATH is an npz file of MNIST (Xtr, ytr, Xte, yte: uint8 rows). The default layers, batches of
200, Adam. The loops are given float32 images that lie ready; ours get the whole numbers. Each
contender lives in a process of its own, and they take turns (see run.py). Then the accuracies
after five epochs of all rows, at a learning rate that rises to 0.003 and falls; and eight
networks on small images in a stack beside the same one after the other.
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

CONTENDERS = ("skbasics", "skbasics bfloat16", "torch loop", "torch loop, channels last")
N_ROWS, N_EPOCHS, BATCH = 10000, 2, 200
PEAK = 3e-3


class Ours:
    """The estimator on the rows of whole numbers."""

    def __init__(self, name: str, data: dict[str, np.ndarray]) -> None:
        self.data = data
        self.precision = "bfloat16" if "bfloat16" in name else None

    def fit(self, n_rows: int, n_epochs: int, cycle: bool, seed: int) -> None:
        """Train on the first rows."""
        from skbasics import Adam, ConvNetClassifier, OneCycle

        self.model = ConvNetClassifier(
            image_shape=(28, 28),
            optimizer=Adam(OneCycle(PEAK) if cycle else 1e-3),
            max_iter=n_epochs,
            precision=self.precision,
            random_state=seed,
        )
        self.model.fit(self.data["Xtr"][:n_rows], self.data["ytr"][:n_rows])

    def score(self) -> float:
        """Return the accuracy on the test images."""
        return self.model.score(self.data["Xte"], self.data["yte"])


class Loop:
    """What one would write in torch."""

    def __init__(self, name: str, data: dict[str, np.ndarray]) -> None:
        import torch

        last = torch.channels_last if "last" in name else torch.contiguous_format
        self.torch, self.format = torch, last
        images = [torch.from_numpy(data[key]).float() / 255 for key in ("Xtr", "Xte")]
        self.X, self.X_test = (part.view(-1, 1, 28, 28) for part in images)
        self.y, self.y_test = (torch.from_numpy(data[key]).long() for key in ("ytr", "yte"))

    def network(self) -> object:
        """Return the default layers as modules."""
        nn = self.torch.nn
        return nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(3136, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        ).to(memory_format=self.format)

    def fit(self, n_rows: int, n_epochs: int, cycle: bool, seed: int) -> None:
        """Train on the first rows."""
        torch = self.torch
        torch.manual_seed(seed)
        self.model = self.network()
        optimizer = torch.optim.Adam(self.model.parameters(), weight_decay=1e-4 / BATCH)
        if cycle:
            n_steps = n_epochs * (n_rows // BATCH) + 1
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=n_steps)
        for _ in range(n_epochs):
            for rows in torch.randperm(n_rows).split(BATCH):
                images = self.X[rows].to(memory_format=self.format)
                loss = torch.nn.functional.cross_entropy(self.model(images), self.y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if cycle:
                    schedule.step()

    def score(self) -> float:
        """Return the accuracy on the test images."""
        with self.torch.no_grad():
            parts = [self.model(X).argmax(1) for X in self.X_test.split(1000)]
        return float((self.torch.cat(parts) == self.y_test).double().mean())


def serve(name: str, path: str) -> None:
    """Answer requests on standard input: seconds, and the accuracy on the test images."""
    warnings.simplefilter("ignore")
    data = dict(np.load(path))
    contender = (Loop if "loop" in name else Ours)(name, data)
    for line in sys.stdin:
        start = time.perf_counter()
        contender.fit(*ast.literal_eval(line))
        seconds = time.perf_counter() - start
        print(seconds, contender.score(), flush=True)


def stack_line(rounds: int) -> str:
    """Time eight networks on the small digits, in a stack and one after the other."""
    from sklearn.datasets import load_digits

    from skbasics import ConvNetClassifier
    from skbasics._stack import Job, fit_side_by_side

    warnings.simplefilter("ignore")
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32) / 16
    base = {"image_shape": (8, 8), "max_iter": 10, "batch_size": 50}

    def jobs() -> list[Job]:
        return [Job(ConvNetClassifier(**base, random_state=k), X, y) for k in range(8)]

    times: dict[str, list[float]] = {"stack": [], "alone": []}
    for _ in range(rounds):
        for way, groups in (("stack", [jobs()]), ("alone", [[job] for job in jobs()])):
            start = time.perf_counter()
            for group in groups:
                fit_side_by_side(group)
            times[way].append(time.perf_counter() - start)
    stack, alone = (statistics.median(values) for values in times.values())
    return f"Eight on digits: stack {stack:.2f} s, alone {alone:.2f} s, ratio {alone / stack:.2f}"


def main() -> None:
    """Run the comparisons and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seeds", type=int, default=3, choices=range(1, 100), metavar="N")
    arguments = parser.parse_args()
    contenders = [
        Contender(name, arguments.threads, arguments.mnist, worker="convnet.py")
        for name in CONTENDERS
    ]
    print(stack_line(arguments.rounds))
    try:
        results = compare(contenders, (N_ROWS, N_EPOCHS, False, 0), arguments.rounds)
        seconds = [[answer[0] for answer in answers] for answers in results]
        print(f"\nMNIST, {N_ROWS} rows, {N_EPOCHS} epochs, {arguments.threads} threads, float32\n")
        print("| fit | median s | its time / ours | test accuracy |")
        print("|---" * 4 + "|")
        for name, times, answers in zip(CONTENDERS, seconds, results, strict=True):
            median, ratio = statistics.median(times), paired_ratio(seconds[0], times)
            print(f"| {name} | {median:.2f} | {ratio:.2f} | {answers[-1][1]:.4f} |")
        print("\n| all rows, 5 epochs | s | test accuracies |\n|---|---|---|")
        for contender in contenders[:3]:
            answers = [contender.ask(60000, 5, True, seed) for seed in range(arguments.seeds)]
            accuracies = ", ".join(f"{answer[1]:.4f}" for answer in answers)
            print(f"| {contender.name} | {answers[-1][0]:.0f} | {accuracies} |", flush=True)
    finally:
        for contender in contenders:
            contender.close()


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CONTENDERS:
        serve(sys.argv[1], sys.argv[2])
    else:
        main()
