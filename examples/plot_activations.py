"""
Activations, and depth without them
===================================

Above, drawn from networks of one unit: each activation f and its derivative f', by which
backpropagation multiplies. Where f' stays near zero a unit is saturated and hardly learns; where it
is zero the unit is dead and does not learn at all. Below, a network of three hidden layers without
and with an activation. Without one its four matrices are no more than their product: whatever the
depth, the boundary is a straight line.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay

from skbasics import Adam, MLPClassifier, MLPRegressor

NAMES = ["logistic", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus"]
z = np.linspace(-6, 6, 1200)  # without 0, where some have no derivative


def unit(activation):
    """Return f and f' of a network of one unit whose weights are 1 and biases 0."""
    network = MLPRegressor((1,), activation, random_state=0).partial_fit(z[:, None], z)
    for weights, biases in zip(network.coefs_, network.intercepts_, strict=True):
        weights[:], biases[:] = 1, 0
    inputs = torch.tensor(z[:, None], requires_grad=True)
    network.to_torch()(inputs).sum().backward()
    return network.hidden_features(z[:, None])[:, 0], inputs.grad[:, 0].numpy()


figure, axes = plt.subplot_mosaic(
    [NAMES[:4], NAMES[4:], ["identity"] * 2 + ["deep"] * 2],
    figsize=(12, 10.5),
    height_ratios=(1, 1, 1.7),
    layout="constrained",
)
for name in NAMES:
    (f, slope), ax = unit(name), axes[name]
    ax.plot(z, f, label="f(z)")
    ax.plot(z, slope, "--", label="its derivative f'(z)")
    size = np.abs(slope)  # small from here to one of the ends:
    outwards = np.minimum(np.maximum.accumulate(size), np.maximum.accumulate(size[::-1])[::-1])
    saturated, dead = (outwards > 0) & (outwards < 0.05), outwards == 0
    fill = {"transform": ax.get_xaxis_transform(), "linewidth": 0}
    ax.fill_between(z, 0, 1, saturated, color="0.88", label="saturated: |f'| < 0.05", **fill)
    ax.fill_between(z, 0, 1, dead, color="#f4c7c3", label="dead: f' = 0", **fill)
    print(f"{name:10}  of [-6, 6] saturated {saturated.mean():4.0%}, dead {dead.mean():4.0%}")
    ax.set(title=name, xlabel="z", xlim=(-6, 6), ylim=(-1.2, 2.2), xticks=(-5, 0, 5))
figure.legend(*axes["relu"].get_legend_handles_labels(), loc="outside upper center", ncols=4)

# %%
# Three hidden layers without and with an activation, on two moons.
X, y = make_moons(400, noise=0.12, random_state=0)
settings = {"optimizer": Adam(0.01), "max_iter": 400, "tol": 1e-6, "random_state": 0}
linear = MLPClassifier((20, 20, 20), "identity", **settings).fit(X, y)
deep = MLPClassifier((20, 20, 20), "relu", **settings).fit(X, y)

matrix, bias = np.eye(2), np.zeros(2)
for weights, biases in zip(linear.coefs_, linear.intercepts_, strict=True):
    matrix, bias = matrix @ weights, bias @ weights + biases
gap = np.abs((X @ matrix + bias)[:, 0] - linear.decision_function(X)).max()
print(f"\nThe product of four matrices, {matrix[:, 0].round(2)}, decides the same to {gap:.0e}")
assert gap < 1e-8
assert deep.score(X, y) > 0.98 > 0.93 > linear.score(X, y)

regions = {"response_method": "predict_proba", "cmap": "RdBu", "alpha": 0.45, "vmin": 0, "vmax": 1}
for name, model, means in (
    ("identity", linear, "four matrices are one, and draw a line"),
    ("deep", deep, "the same depth bends it"),
):
    ax, score = axes[name], model.score(X, y)
    DecisionBoundaryDisplay.from_estimator(model, X, ax=ax, class_of_interest=1, **regions)
    ax.scatter(*X.T, c=y, cmap="RdBu", edgecolors="white", linewidths=0.5, s=28)
    ax.set(xlabel="first feature", ylabel="second feature", aspect="equal")
    ax.set_title(f"{model.activation}: {means} (accuracy {score:.2f})")
plt.show()
