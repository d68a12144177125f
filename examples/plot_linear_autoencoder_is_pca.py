"""
A linear autoencoder is PCA, up to a turn
=========================================

It finds the subspace of the principal components, though not their axes. Without hidden layers
encoder and decoder are matrices. The squared error is least where the decoder spans the first
principal components; any basis of that subspace will do, so the columns of the decoder are neither
orthogonal nor ordered. A rotation inside it makes them the components.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import orth, subspace_angles
from sklearn.datasets import load_digits

from skbasics import PCA, Adam, Autoencoder

X = load_digits().data / 16
train, test = X[:1200], X[1200:]
K = 6
pca = PCA(K).fit(train)
least = np.square(test - pca.inverse_transform(pca.transform(test))).sum(1).mean()

linear = Autoencoder(K, activation="identity", optimizer=Adam(1e-2), random_state=0)
epochs, angles, errors = range(1, 301), [], []
for _ in epochs:
    linear.partial_fit(train)
    angles.append(np.degrees(subspace_angles(linear.coefs_[-1].T, pca.components_.T)).max())
    errors.append(-2 * linear.score(test) / least)
for epoch in (1, 10, 100, 300):
    angle, error = angles[epoch - 1], errors[epoch - 1]
    print(f"epoch {epoch:3}: largest angle {angle:6.2f} degrees, error {error:.4f} of PCA's")

columns = linear.coefs_[-1]
basis = orth(columns.T)
# Inside the plane the components are the eigenvectors of the covariance.
codes = (train - train.mean(0)) @ basis
turned = basis @ np.linalg.svd(codes.T @ codes)[0]
signs = np.sign(np.sum(turned.T * pca.components_, axis=1))
print("cosines of the turned columns and the components:", end=" ")
print(np.round(signs * np.sum(turned.T * pca.components_, axis=1), 4))

figure, axes = plt.subplots(1, 2, figsize=(12, 4), width_ratios=(1, 1.6), layout="constrained")
axes[0].loglog(epochs, angles, label="angle to PCA's subspace, degrees")
axes[0].loglog(epochs, errors, label="test error / PCA's")
axes[0].axhline(1, color="0.7", lw=1)
axes[0].set(xlabel="epoch", title="The subspace is found", ylim=(0.8, 300))
axes[0].legend(loc="upper right", fontsize="small")
lines = [
    columns / np.linalg.norm(columns, axis=1, keepdims=True),
    signs[:, None] * turned.T,
    pca.components_,
]
tiles = np.pad(
    np.array(lines).reshape(3, K, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan
)
axes[1].imshow(tiles.transpose(0, 2, 1, 3).reshape(30, 10 * K), cmap="RdBu_r", vmin=-0.4, vmax=0.4)
axes[1].set_yticks([5, 15, 25], ["decoder", "decoder, turned", "components"])
axes[1].set(xticks=[], title="Turned inside it, the decoder's columns are the components")
axes[1].tick_params(length=0)
axes[1].spines[:].set_visible(False)
plt.show()
