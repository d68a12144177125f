"""
Sparse codes of digits
======================

Three ways to have few of a hundred units active at a time, beside none. The pictures are what
single units stand for: the decoder's column of each, the most active first. Below them is in what
share of the rows units are active, or for logistic units (kl) how much. With no price for activity
all are active all the time, and no unit stands for anything by itself.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from skbasics import Adam, SparseAutoencoder

X = load_digits().data / 16
train, test = X[:1400], X[1400:]
warnings.simplefilter("ignore", ConvergenceWarning)  # three hundred epochs are meant

settings = {"optimizer": Adam(3e-3), "max_iter": 300, "random_state": 0}
models = {
    "no price": SparseAutoencoder(100, sparsity="l1", sparsity_weight=0, **settings),
    "size of the code (l1)": SparseAutoencoder(100, sparsity="l1", **settings),
    "mean activations (kl)": SparseAutoencoder(100, sparsity="kl", **settings),
    "six largest (topk)": SparseAutoencoder(100, sparsity="topk", n_active=6, **settings),
}
figure, axes = plt.subplots(
    2, 4, figsize=(14, 4.3), height_ratios=(2, 1), sharey="row", layout="constrained"
)
print("                        squared error  active units of a row  dead units")
for (name, model), (above, below) in zip(models.items(), axes.T, strict=True):
    codes = model.fit(train).transform(test)
    error = np.square(test - model.reconstruct(test)).sum(1).mean()
    active = (codes > 0.5 * codes.max(1, keepdims=True) if "kl" in name else codes > 0).sum(1)
    print(f"{name:22}  {error:13.3f}  {active.mean():21.1f}  {len(model.dead_units_):10}")

    atoms = model.coefs_[-1] / np.abs(model.coefs_[-1]).max(1, keepdims=True)
    order = np.argsort(-model.activation_rate_)[:60]
    tiles = np.pad(
        atoms[order].reshape(6, 10, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan
    )
    above.imshow(tiles.transpose(0, 2, 1, 3).reshape(60, 100), cmap="RdBu_r", vmin=-1, vmax=1)
    above.set(title=name, xticks=[], yticks=[])
    below.bar(range(100), np.sort(model.activation_rate_)[::-1], width=1, color="0.4")
    below.set(xlabel="unit, the most active first", yscale="log", ylim=(0.005, 1.3))
axes[1, 0].set(ylabel="active share", yticks=(0.01, 0.1, 1), yticklabels=("1%", "10%", "100%"))
plt.show()
