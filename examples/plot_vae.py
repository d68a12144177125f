"""
A variational autoencoder of digits
===================================

A map, a density, and what is missing filled in. With two latents the whole model can be seen: at
the left where test rows lie, at the right what the decoder makes of every place, at equal steps of
the prior's probability. With ten it is a better density. What it says of a row is in nats: its
bound, and the likelihood that the bound is under.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from skbasics import Adam, LatentSpaceDisplay, ReconstructionDisplay, VAETransformer

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)

warnings.simplefilter("ignore", ConvergenceWarning)  # sixty epochs are meant
settings = {
    "hidden_layer_sizes": (128,),
    "optimizer": Adam(3e-3),
    "max_iter": 60,
    "n_iter_no_change": np.inf,
    "random_state": 0,
}
print("latents  active  ELBO of test rows  log likelihood, importance-weighted")
models = {}
for n_components in (2, 10):
    vae = models[n_components] = VAETransformer(n_components, **settings).fit(X)
    bound, likelihood = vae.score(X_test), vae.log_likelihood(X_test).mean()
    print(f"{n_components:7}  {len(vae.active_units_):6}  {bound:17.2f}  {likelihood:14.2f}")

display = LatentSpaceDisplay.from_estimator(models[2], X_test, y_test)
display.figure_.suptitle("Two latents of digits: test rows, and what lies in between")

holes = X_test[:10].copy()
holes[:, 32:48] = np.nan  # two lines of pixels of each image
_, ax = plt.subplots(figsize=(11, 3.2), layout="constrained")
ReconstructionDisplay.from_estimator(models[10], holes, image_shape=(8, 8), ax=ax)
ax.set_title(
    "Two lines of pixels are missing, and filled in below (numbers: bounds in nats)", pad=20
)
error = np.abs(models[10].reconstruct(holes) - X_test[:10])[:, 32:48].mean()
by_mean = np.abs(X.mean(0) - X_test[:10])[:, 32:48].mean()
print(f"\nMissing pixels: mean absolute error {error:.3f}, by the mean of each {by_mean:.3f}")
plt.show()
