"""
A first look
============

A grid search on real digits, the same model on a stream, and what its errors are made of.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skbasics import Adam, MLPClassifier, OnlineMeanVar, StreamPipeline, bias_variance_curve

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)

# The search: any scikit-learn tool takes the classifier, nested optimizer parameters included.
pipeline = Pipeline(
    [
        ("scale", StandardScaler()),
        ("mlp", MLPClassifier(max_iter=60, early_stopping=True, random_state=0)),
    ]
)
grid = {
    "mlp__optimizer__learning_rate": [1e-3, 3e-3, 1e-2],
    "mlp__hidden_layer_sizes": [(50,), (100,), (100, 50)],
}
search = GridSearchCV(pipeline, grid, cv=3).fit(X_train, y_train)

best = search.best_params_
print("Best of", len(search.cv_results_["params"]), "candidates:")
print("  hidden_layer_sizes =", best["mlp__hidden_layer_sizes"])
print("  learning_rate      =", best["mlp__optimizer__learning_rate"])
print(f"Accuracy on {len(y_test)} digits held out: {search.score(X_test, y_test):.3f}")
print("Confusion matrix (rows: true digit, columns: predicted):")
print(confusion_matrix(y_test, search.predict(X_test)))

# A stream: the same rows, 50 at a time, each seen once. Scaler and network learn as it goes by.
stream = StreamPipeline(
    [("scale", OnlineMeanVar()), ("mlp", MLPClassifier(random_state=0, batch_size=10))]
)
print("\nAccuracy while a stream of digits goes by:")
for part, rows in enumerate(np.array_split(np.arange(len(y_train)), 27), start=1):
    stream.partial_fit(X_train[rows], y_train[rows], classes=np.arange(10))
    if part % 9 == 0:
        seen = stream["scale"].n_samples_seen_
        print(f"  after {seen:4d} digits: {stream.score(X_test, y_test):.3f}")

# What errors are made of: wrong for most training sets (bias), or by the luck of one (variance).
curve = bias_variance_curve(
    MLPClassifier(max_iter=100, tol=1e-2, n_iter_no_change=5, optimizer=Adam(0.01)),
    X_train[:400] / 16,
    y_train[:400],
    X_test=X_test / 16,
    y_test=y_test,
    param_name="hidden_layer_sizes",
    param_range=[(2,), (5,), (50,)],
    loss="zero_one",
    n_rounds=20,
    random_state=0,
)
print("\nShare of wrong digits after 400, by the units of the hidden layer:")
print(curve)
