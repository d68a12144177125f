"""
PCA, FastICA and correspondence analysis
========================================

Three linear maps, each of what it is for. PCA finds the directions of the largest variance, here of
iris flowers. FastICA finds the sources of a mixture, where PCA finds only uncorrelated mixtures of
them. Correspondence analysis draws the rows and columns of a table of counts on one map: who smokes
how much, in five groups of staff (Greenacre).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

from skbasics import PCA, CorrespondenceAnalysis, CorrespondenceDisplay, FastICA

GROUPS = [
    "senior managers",
    "junior managers",
    "senior employees",
    "junior employees",
    "secretaries",
]
HABITS = ["none", "light", "medium", "heavy"]
SMOKING = [[4, 2, 3, 2], [4, 3, 7, 4], [25, 10, 12, 4], [18, 24, 33, 13], [10, 6, 7, 2]]


def mixture(n_samples=1500):
    """Return three sources and a mixture of them."""
    rng = np.random.default_rng(0)
    t = np.linspace(0, 8, n_samples)
    sources = np.column_stack([np.sin(2 * t), np.sign(np.sin(3 * t)), 2 * (t % 1) - 1])
    sources += 0.1 * rng.normal(size=sources.shape)
    mixing = np.array([[1.0, 1.0, 1.0], [0.5, 2.0, 1.0], [1.5, 1.0, 2.0]])
    return sources, sources @ mixing.T


def recovered(sources, found):
    """Return each source's largest correlation with a component, which has no order or sign."""
    n = sources.shape[1]
    return np.abs(np.corrcoef(sources.T, found.T))[:n, n:].max(1)


figure, axes = plt.subplot_mosaic(
    [["iris", "pca", "ca"], ["iris", "ica", "ca"]], figsize=(15, 5), layout="constrained"
)

iris = load_iris()
pca = PCA(n_components=2)
flowers = pca.fit_transform(iris.data)
for name, kind in zip(iris.target_names, range(3), strict=True):
    axes["iris"].scatter(*flowers[iris.target == kind].T, s=15, label=name)
axes["iris"].legend()
share = pca.explained_variance_ratio_
axes["iris"].set(
    title="PCA of iris, in centimetres",
    xlabel=f"component 1 ({share[0]:.1%} of variance)",
    ylabel=f"component 2 ({share[1]:.1%} of variance)",
)
print(f"PCA of iris: two components carry {share.sum():.1%} of the variance")

sources, mixed = mixture()
for name, model in (("pca", PCA(3, whiten=True)), ("ica", FastICA(3, random_state=0))):
    found = model.fit_transform(mixed)
    axes[name].plot(found[:600] + 4 * np.arange(3), linewidth=0.8)
    axes[name].set(title=f"{type(model).__name__} of three mixed signals", yticks=[])
    axes[name].set(xlabel="time step", ylabel="components")
    correlations = ", ".join(f"{value:.3f}" for value in recovered(sources, found))
    print(f"{type(model).__name__}: correlation with the three sources {correlations}")

analysis = CorrespondenceAnalysis().fit(SMOKING)
CorrespondenceDisplay.from_estimator(
    analysis, row_labels=GROUPS, column_labels=HABITS, ax=axes["ca"]
)
axes["ca"].set_title("Correspondence analysis: who smokes how much")
inertias = ", ".join(f"{value:.4f}" for value in analysis.eigenvalues_)
print(f"CA of smoking: inertias {inertias} of {analysis.total_inertia_:.4f} in all,")
print(f"chi-square {analysis.chi2_:.2f}, p = {analysis.p_value_:.2f}: few people were asked")
plt.show()
