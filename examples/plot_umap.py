"""
Four maps of the digits
=======================

PCA, a variational autoencoder, UMAP and a network that UMAP trains. Each learns from 1500
handwritten digits without their names, and is shown the other 297 as rings. What tells the maps
apart is how many of a digit's neighbours on the map are its neighbours among all 64 pixels
(trustworthiness), and how many new digits their ten nearest neighbours on the map would call by
their name (accuracy).
"""

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patheffects import withStroke
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.manifold import trustworthiness
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skbasics import PCA, UMAP, EmbeddingDisplay, ParametricUMAP, VAETransformer

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=297, random_state=0)

maps = {
    "PCA": PCA(2),
    "VAETransformer": VAETransformer(2, max_iter=60, random_state=0),
    "UMAP": UMAP(random_state=0),
    "ParametricUMAP": ParametricUMAP(random_state=0),
}
figure, axes = plt.subplots(2, 2, figsize=(11, 10), layout="constrained")
halo = withStroke(linewidth=3, foreground="white")
centred = {"weight": "bold", "size": 13, "ha": "center", "va": "center"}
scores = {}
for ax, (name, transformer) in zip(axes.flat, maps.items(), strict=True):
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so many epochs are meant
        transformer.fit(X_train)
    seconds = time.perf_counter() - start
    display = EmbeddingDisplay.from_estimator(transformer, X_train, y_train, ax=ax, legend=False)
    places, new = transformer.transform(X_train), transformer.transform(X_test)
    colours = [display.points_[digit].get_facecolor()[0] for digit in y_test]
    ax.scatter(*new.T, s=26, facecolors="none", edgecolors=colours, linewidths=0.8)
    trust = trustworthiness(X_test, new, n_neighbors=12)
    nearest = KNeighborsClassifier(10).fit(places, y_train)
    scores[name] = nearest.score(new, y_test)
    print(f"{name:15s} {seconds:5.1f} s, trustworthiness {trust:.3f}, accuracy {scores[name]:.3f}")
    ax.set_title(f"{name}: trustworthiness {trust:.2f}, accuracy {scores[name]:.2f}")
    for digit in range(10):
        middle = np.median(places[y_train == digit], axis=0)
        ax.text(*middle, str(digit), path_effects=[halo], **centred)
assert scores["UMAP"] > scores["PCA"]
assert scores["ParametricUMAP"] > scores["PCA"]

plt.show()
