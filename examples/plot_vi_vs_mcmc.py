"""
Mean field, full rank and MCMC
==============================

The same logistic regression three ways: marginals and times. Two of the three features say nearly
the same. What the data know is the sum of their weights, so the posterior is a narrow ridge;
independent coordinates fit inside it and are too sure of each weight. The Gaussian of full rank
lies on the draws of the no-U-turn sampler (NUTS).
"""

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np

from skbasics import VariationalClassifier

NAMES = {"mean_field": "mean field", "full_rank": "full rank", "nuts": "NUTS"}
COLORS = {"mean_field": "tab:orange", "full_rank": "tab:blue", "nuts": "0.75"}

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 3))
X[:, 1] = X[:, 0] + 0.3 * rng.normal(size=120)
y = X @ [1.0, 0.5, -1.0] + rng.logistic(size=120) > 0

models, seconds = {}, {}
for inference, name in NAMES.items():
    model = VariationalClassifier(
        inference=inference, prior_scale=2.0, n_draws=2000, random_state=0
    )
    start = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            models[inference] = model.fit(X, y)
    except ImportError as error:
        print(f"NUTS is left out: {error}")
        continue
    seconds[inference] = time.perf_counter() - start
    k = model.pareto_k_
    told = "warned of" if caught else "not warned of"
    print(f"{name:10} {seconds[inference]:8.3f} s", end="   ")
    print(f"k-hat of its Gaussian {k:.2f}, {told}" if inference != "nuts" else "")
    print("   means     ", model.coef_[0].round(2))
    print("   deviations", np.sqrt(model.covariance_.diagonal()[:3]).round(2))

figure, axes = plt.subplots(1, 4, figsize=(16, 4), layout="constrained")
for j, ax in enumerate(axes[:3]):
    grid = np.linspace(-3.5, 4.5, 400)
    for inference, model in models.items():
        if inference == "nuts":
            draws = model.sample_posterior(5000, random_state=0)[:, j]
            ax.hist(draws, 30, density=True, color=COLORS[inference], label="NUTS")
            continue
        mean, deviation = model.coef_[0, j], np.sqrt(model.covariance_[j, j])
        density = np.exp(-(((grid - mean) / deviation) ** 2) / 2) / deviation / np.sqrt(2 * np.pi)
        ax.plot(grid, density, color=COLORS[inference], lw=2, label=NAMES[inference])
    ax.set(xlabel=f"weight of feature {j + 1}", yticks=[], xlim=(-3.5, 4.5))
axes[0].set(ylabel="posterior density", title="The first of two twins")
axes[1].set_title("The second: mean field is too sure")
axes[2].set_title("By itself: all agree")
axes[0].legend()

for inference in [name for name in ("nuts", "full_rank", "mean_field") if name in models]:
    draws = models[inference].sample_posterior(1500, random_state=0)
    label = f"{NAMES[inference]}, {seconds[inference]:.2g} s"
    size = 7 if inference == "nuts" else 2.5
    axes[3].plot(*draws[:, :2].T, ".", ms=size, color=COLORS[inference], label=label)
axes[3].set(xlabel="weight of feature 1", ylabel="weight of feature 2")
axes[3].set_title("Draws: the twins lie on a ridge")
axes[3].legend(loc="lower left", markerscale=2)
plt.show()
