"""
One hidden layer approximates any continuous function
=====================================================

With one hidden layer of enough units a network comes as near as one likes to a continuous function
on a compact set. A continuous activation serves if and only if it is no polynomial (Leshno, Lin,
Pinkus and Schocken, Neural Networks 6, 1993). The theorem says that good weights exist, not that
training finds them. Here networks of 1 to 256 units are trained from eight seeds each, those of one
width and activation side by side. More rectified units follow the function more closely. Units
that square give a parabola however many there are, for a sum of parabolas is one.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skbasics import Adam, GridSearchCV, MLPRegressor, OneCycle

warnings.simplefilter("ignore", ConvergenceWarning)  # three hundred epochs are meant


def square(z):
    return z**2


x = np.linspace(-2, 2, 513)
y = np.sin(3 * x) * np.exp(-x / 3) + np.abs(x - 0.5)
between, everywhere = np.arange(1, 513, 2), np.arange(513)  # trained on, and measured on

# %%
# The error of every width, activation and seed.
WIDTHS = 2 ** np.arange(9)
network = MLPRegressor(
    optimizer=Adam(OneCycle(0.02)), alpha=0, batch_size=32, max_iter=300, n_iter_no_change=np.inf
)
grid = {
    "activation": ["relu", square],
    "hidden_layer_sizes": [(width,) for width in WIDTHS],
    "random_state": range(8),
}
search = GridSearchCV(
    network, grid, cv=[(between, everywhere)], scoring="neg_root_mean_squared_error", refit=False
).fit(x[:, None], y)
relu, squares = -search.cv_results_["mean_test_score"].reshape(2, len(WIDTHS), 8)
parabola = np.sqrt(np.mean((np.polyval(np.polyfit(x, y, 2), x) - y) ** 2))

print("units  root mean squared error, median of 8 seeds: rectified units, units that square")
for width, rectified, squared in zip(WIDTHS, relu, squares, strict=True):
    print(f"{width:5}  {np.median(rectified):10.4f} {np.median(squared):10.4f}")
print(f"The best of all parabolas: {parabola:.4f}")
assert np.median(relu[-1]) < np.median(relu[0]) / 30
assert squares.min() > parabola - 1e-6 > relu[-1].max()

# %%
# The fits of the median seed, and how the error falls.
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
left.plot(x, y, color="0.8", linewidth=7, label="the function")
for i, colour in ((2, "tab:orange"), (5, "tab:green"), (8, "tab:blue")):
    seed = int(np.argsort(relu[i])[4])
    fit = clone(network).set_params(hidden_layer_sizes=(WIDTHS[i],), random_state=seed)
    fit.fit(x[between, None], y[between])
    left.plot(x, fit.predict(x[:, None]), color=colour, label=f"{WIDTHS[i]} rectified units")
fit.set_params(activation=square).fit(x[between, None], y[between])
left.plot(x, fit.predict(x[:, None]), "--", color="tab:red", label="256 squares")
left.set(xlabel="x", ylabel="f(x)", title="What the median seed learns")
left.legend()
for errors, colour, label in ((relu, "C0", "rectified units"), (squares, "C3", "squares")):
    right.fill_between(WIDTHS, errors.min(1), errors.max(1), color=colour, alpha=0.2, lw=0)
    right.loglog(WIDTHS, np.median(errors, 1), "o-", color=colour, label=label)
right.axhline(parabola, color="0.3", linestyle=":", label="the best parabola")
right.set_xscale("log", base=2)
right.set_xticks(WIDTHS, WIDTHS)
right.set(xlabel="hidden units", ylabel="root mean squared error")
right.set_title("Median, least and largest error of eight seeds")
right.legend()
plt.show()
