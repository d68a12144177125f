"""
The two directions of a divergence
==================================

Two ways to fit a Gaussian to a density of two modes: cover both, or take one. The forward
divergence KL(p || q) is large where p has mass and q has none, so its best Gaussian covers
everything: it has the mean and the variance of p. The reverse divergence KL(q || p), which
variational inference minimises, is large where q has mass and p has none, so its best Gaussian
settles on one mode, and there are two of them.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from skbasics import LBFGS, gaussian_kl, jeffreys, jensen_shannon, kl_divergence, minimize

WEIGHTS, MEANS, SCALES = np.array([0.6, 0.4]), np.array([-2.0, 2.5]), np.array([0.8, 0.6])
grid = np.linspace(-20, 20, 8001)
CELL = grid[1] - grid[0]


def normal(x, mean, scale):
    return np.exp(-(((x - mean) / scale) ** 2) / 2) / scale / np.sqrt(2 * np.pi)


def cells(density):
    """Return the density as probabilities of the cells of the grid."""
    return density / density.sum()


p = cells(normal(grid[:, None], MEANS, SCALES) @ WEIGHTS)
target = torch.from_numpy(p)


def gaussian(parameters):
    """Return Gaussians (K, cells) of parameters (K, 2): a mean and the log of a deviation."""
    z = (torch.from_numpy(grid) - parameters[:, :1]) / parameters[:, 1:].exp()
    return (-z.square() / 2).softmax(dim=-1)


starts = [[-3.0, 0.0], [0.0, 1.0], [3.0, 0.0]]
fits = {
    "forward KL(p || q): covers both modes": minimize(
        lambda t: kl_divergence(target, gaussian(t)), starts, optimizer=LBFGS(), tol=1e-9
    ),
    "reverse KL(q || p): takes one mode or the other": minimize(
        lambda t: kl_divergence(gaussian(t), target), starts, optimizer=LBFGS(), tol=1e-9
    ),
}
mean = WEIGHTS @ MEANS
deviation = np.sqrt(WEIGHTS @ (SCALES**2 + MEANS**2) - mean**2)
print(f"p has mean {mean:.3f} and deviation {deviation:.3f}\n")
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", sharey=True)
for ax, (name, result), colours in zip(axes, fits.items(), ("C0", "C3"), strict=True):
    ax.fill_between(grid, p / CELL, color="0.85", label="p, a mixture")
    found = np.unique(result.x.round(3), axis=0)
    print(f"{name}\n   mean  deviation  KL(p||q)  KL(q||p)  Jeffreys  Jensen-Shannon")
    for i, (m, log_scale) in enumerate(found):
        q = cells(normal(grid, m, np.exp(log_scale)))
        values = kl_divergence(p, q), kl_divergence(q, p), jeffreys(p, q), jensen_shannon(p, q)
        print(f"{m:7.3f} {np.exp(log_scale):10.3f}" + "".join(f"{v:10.3f}" for v in values))
        label = f"mean {m:.2f}, deviation {np.exp(log_scale):.2f}"
        ax.plot(grid, q / CELL, color=colours, ls=("-", "--", ":")[i], label=label)
    ax.set(title=name, xlabel="x", xlim=(-7, 7), ylim=(0, 0.75))
    ax.legend(loc="upper left")
axes[0].set_ylabel("density")
there, back = gaussian_kl(0.0, 1.0, 0.0, 3.0), gaussian_kl(0.0, 3.0, 0.0, 1.0)
print(f"\na narrow Gaussian coded as a wide one: {there:.3f} nats; the other way: {back:.3f}")
plt.show()
