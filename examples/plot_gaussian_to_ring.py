"""
From a Gaussian to a ring
=========================

A simple map makes a complicated distribution of a Gaussian, and a network can learn one. Points z
of a two-dimensional Gaussian, sent through ``g(z) = z / 10 + z / |z|``, lie on a ring, as Doersch's
tutorial has it. So a model with a Gaussian prior can be a model of anything, if only its decoder is
rich enough. Here a variational autoencoder sees the ring alone, and finds a map of its own. Where g
is torn, at the origin, its map can only be steep: some points fall inside the ring. Colours are
the direction in which a point lies on the ring.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skbasics import Adam, OneCycle, VAETransformer

A, N = 10, 4000
rng = np.random.RandomState(0)
z = rng.standard_normal((N, 2))
ring = z / A + z / np.linalg.norm(z, axis=1, keepdims=True)

warnings.simplefilter("ignore", ConvergenceWarning)  # two hundred epochs are meant
vae = VAETransformer(
    2,
    hidden_layer_sizes=(128, 128),
    activation="silu",
    optimizer=Adam(OneCycle(5e-3)),
    kl_warmup=20,
    max_iter=200,
    n_iter_no_change=np.inf,
    random_state=0,
).fit(ring)
made = vae.sample(N, random_state=1, noise=True)

print("distance from the centre  mean   standard deviation   within 0.8 of it")
for name, points in (("the ring", ring), ("the model's samples", made)):
    radius = np.linalg.norm(points, axis=1)
    print(f"{name:24}  {radius.mean():.3f}  {radius.std():.3f}  {np.mean(radius < 0.8):20.3f}")
print(f"\nELBO {vae.score(ring):.3f} nats, likelihood {vae.log_likelihood(ring).mean():.3f} nats")

figure, axes = plt.subplots(1, 4, figsize=(14, 3.7), layout="constrained")
colour = np.arctan2(*z.T)
prior = rng.standard_normal((N, 2))
panels = [
    ("z, a Gaussian, coloured by g(z)", z, colour, "z", 4),
    ("x = g(z), a ring", ring, colour, "x", 1.7),
    ("prior, coloured by the decoder", prior, np.arctan2(*vae.inverse_transform(prior).T), "z", 4),
    ("x, samples of the autoencoder", made, np.arctan2(*made.T), "x", 1.7),
]
for panel, (title, points, shade, letter, size) in zip(axes, panels, strict=True):
    panel.scatter(*points.T, c=shade, cmap="hsv", s=3)
    panel.set(title=title, aspect="equal", xlim=(-size, size), ylim=(-size, size))
    panel.set(xlabel=f"${letter}_1$", ylabel=f"${letter}_2$")
plt.show()
