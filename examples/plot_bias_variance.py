"""
The bias-variance tradeoff
==========================

Polynomials and networks fitted to noisy readings, after Mehta et al., "A high-bias, low-variance
introduction to Machine Learning for physicists" (2019). Each round draws fresh readings of a known
function, so noise, squared bias and variance can all be told apart. A simple model is wrong in the
same way each time (bias); a complex one follows the noise of its readings (variance); the expected
loss is lowest between the two. Bands are two standard errors wide on either side.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from skbasics import Adam, BiasVarianceDisplay, MLPRegressor, bias_variance_curve


def truth(X):
    return np.sin(4 * X[:, 0]) + X[:, 0] ** 2


def readings(rng, n=25):
    """Read n points, the same ones each time: what one round trains on."""
    X = np.linspace(-1, 1, n)[:, None]
    return X, truth(X) + rng.normal(0, 0.6, n)


X, y = readings(np.random.RandomState(1))
X_test, y_test = readings(np.random.RandomState(2), n=500)
experiment = {"X_test": X_test, "y_test": y_test, "true_values": truth(X_test)}
experiment |= {"resampling": readings, "random_state": 0}
polynomial = make_pipeline(PolynomialFeatures(), LinearRegression())
polynomials = bias_variance_curve(
    polynomial,
    None,
    None,
    param_name="polynomialfeatures__degree",
    param_range=range(1, 16),
    **experiment,
)
patience = {"batch_size": 25, "max_iter": 4000, "tol": 1e-5, "n_iter_no_change": 30}
networks = bias_variance_curve(
    MLPRegressor((50,), "tanh", optimizer=Adam(0.03), **patience),
    None,
    None,
    param_name="alpha",
    param_range=[3, 1, 0.3, 0.1, 0.03, 0.01, 0.003, 1e-3],
    n_rounds=20,
    **experiment,
)
for curve in (polynomials, networks):
    print(curve)
    print(f"lowest at {curve.param_name} = {curve.param_range[curve.best_index]}\n")

figure, axes = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
axes[0].plot(X, y, "k.", label="one round's readings")
axes[0].plot(X_test, truth(X_test), "k--", label="truth")
for degree in (2, 5, 15):
    polynomial.set_params(polynomialfeatures__degree=degree).fit(X, y)
    axes[0].plot(X_test, polynomial.predict(X_test), label=f"degree {degree}")
axes[0].set(ylim=(-2.5, 3), xlabel="x", ylabel="y", xticks=(-1, -0.5, 0, 0.5, 1))
axes[0].set_title("One round of 25 readings")
axes[0].legend(fontsize="small", loc="lower right")
BiasVarianceDisplay.from_curve(polynomials, ax=axes[1])
axes[1].set(ylim=(0, 1.1), xlabel="degree", title="Polynomials: lowest in the middle")
BiasVarianceDisplay.from_curve(networks, ax=axes[2], legend=False)
axes[2].invert_xaxis()
axes[2].set(ylim=(0, 1.1), xlabel="alpha (complexity grows to the right)", ylabel="")
axes[2].set_title("A network of 50 units: likewise")
plt.show()
