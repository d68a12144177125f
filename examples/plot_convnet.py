"""
A convolutional network on digits
=================================

Images of 8 x 8 pixels behind a scaler and inside a grid search. The rows of 64 features become
images in the network (``image_shape``), so everything that scikit-learn does with rows may go
before it. The picture shows the filters of the first layer, and what each of them makes of three
digits.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skbasics import (
    Adam,
    Conv2d,
    ConvNetClassifier,
    FiltersDisplay,
    GridSearchCV,
    MaxPool2d,
)

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, random_state=0, stratify=y)

convnet = ConvNetClassifier(
    image_shape=(8, 8), optimizer=Adam(), max_iter=15, batch_size=50, random_state=0
)
pipeline = Pipeline([("scale", StandardScaler()), ("convnet", convnet)])
grid = {
    "convnet__layers": [
        [Conv2d(16, 3, padding="same"), MaxPool2d(2)],
        [Conv2d(16, 3, padding="same"), MaxPool2d(2), Conv2d(32, 3, padding="same")],
    ],
    "convnet__optimizer__learning_rate": [1e-3, 5e-3],
}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # fifteen epochs are meant
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)

for layers, rate, score in zip(
    search.cv_results_["param_convnet__layers"],
    search.cv_results_["param_convnet__optimizer__learning_rate"],
    search.cv_results_["mean_test_score"],
    strict=True,
):
    print(f"{len(layers)} layers on images, learning rate {rate}: accuracy {score:.3f}")
best = search.best_estimator_
print(f"\nThe best has an accuracy of {best.score(X_test, y_test):.3f} on rows it has not seen:\n")
print(best["convnet"].layer_table_)

display = FiltersDisplay.from_estimator(best, X_test[8:11])
display.colorbars_["filters"].set_label("weight")
display.colorbars_["activation_maps"].set_label("activation")
display.figure_.suptitle("The 16 filters of the first layer, and what they find in three digits")
plt.show()
