"""
Optimizers on three functions
=============================

A race from several starts (dots) at once; stars are where it ended. The surfaces are the classics:
Beale's function with its steep walls, Rosenbrock's curved valley, and a saddle, where plain
gradient descent lingers and Newton's method does not.
"""

import matplotlib.pyplot as plt

from skbasics import (
    LBFGS,
    NAG,
    Adam,
    GradientDescent,
    Momentum,
    Newton,
    RMSprop,
    TrajectoryDisplay,
    minimize,
)


def beale(x):
    first, second = x[..., 0], x[..., 1]
    residuals = [c - first * (1 - second**p) for p, c in ((1, 1.5), (2, 2.25), (3, 2.625))]
    return sum(residual**2 for residual in residuals)


def rosenbrock(x):
    return 100 * (x[..., 1] - x[..., 0] ** 2) ** 2 + (1 - x[..., 0]) ** 2


def saddle(x):
    return x[..., 0] ** 2 - x[..., 1] ** 2 + x[..., 1] ** 4 / 4


SURFACES = {
    "Beale": (beale, [[1.0, 1.3], [-1.0, -1.2], [3.5, -1.0]], ((-2, 4.5), (-2, 2)), 0.002),
    "Rosenbrock": (rosenbrock, [[-1.2, 1], [-0.5, -1], [1.5, -0.5]], ((-2, 2), (-1.5, 2.5)), 5e-4),
    "Saddle": (saddle, [[-1.5, 1e-3], [1.2, -1e-2], [-0.6, 0.3]], ((-2, 2), (-2, 2)), 0.02),
}


def rules(rate):
    """Return the family, with rates that suit a surface."""
    return {
        "gradient descent": GradientDescent(rate, max_gradient_norm=20),
        "momentum": Momentum(rate, max_gradient_norm=20),
        "NAG": NAG(rate, max_gradient_norm=20),
        "RMSprop": RMSprop(0.02),
        "Adam": Adam(0.05),
        "Newton": Newton(),
        "L-BFGS": LBFGS(),
    }


figure, axes = plt.subplots(1, 3, figsize=(15, 5.4), layout="constrained")
print(f"{'':18}{'steps to the minimum, from each start (1000 at most)':>40}")
for ax, (name, (fun, starts, bounds, rate)) in zip(axes, SURFACES.items(), strict=True):
    results = {
        label: minimize(fun, starts, optimizer=rule, max_iter=1000, tol=1e-3, return_path=True)
        for label, rule in rules(rate).items()
    }
    TrajectoryDisplay.from_results(fun, results, bounds=bounds, ax=ax, legend=False)
    ax.set_title(name)
    print(name)
    for label, result in results.items():
        steps = [
            f"{n}" if good else "-" for n, good in zip(result.nit, result.success, strict=True)
        ]
        print(f"  {label:16}" + "".join(f"{step:>8}" for step in steps))
figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=7)
plt.show()
