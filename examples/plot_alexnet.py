"""
A narrow AlexNet on digits
==========================

AlexNet at a sixteenth of its width, on digits enlarged to 72 x 72 pixels. The full network has
60,965,224 parameters and took a week to learn a million photographs. A narrow one learns 1347
digits in seconds; as it makes some hundred steps and not some hundred thousand, it starts from
wider weights than the paper's.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from skbasics import FiltersDisplay, NormalWeights, alexnet

print("The network of 2012:\n")
print(alexnet().layer_table((227, 227, 3), n_outputs=1000))

X, y = load_digits(return_X_y=True)
X = ((X - X.mean()) / X.std()).astype(np.float32)
images = np.kron(X.reshape(-1, 8, 8), np.ones((9, 9), np.float32))
X_train, X_test, y_train, y_test = train_test_split(images, y, random_state=0, stratify=y)

network = alexnet(
    width=1 / 16,
    initial_weights=NormalWeights(0.1),
    batch_size=32,
    max_iter=20,
    random_state=0,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # twenty epochs are meant
    network.fit(X_train, y_train, X_val=X_test, y_val=y_test)
print("\nThe one that is trained here:\n")
print(network.layer_table_)
accuracy = network.score(X_test, y_test)
print(f"\nAccuracy on {len(y_test)} digits it has not seen: {accuracy:.3f}")
assert accuracy > 0.9

figure, (left, right) = plt.subplots(
    1, 2, figsize=(12, 4), width_ratios=(1, 2), layout="constrained"
)
epochs = np.arange(1, network.n_iter_ + 1)
left.plot(epochs, network.history_["validation_score"], color="tab:blue")
left.set(xlabel="epoch", ylabel="accuracy on the test digits", ylim=(0, 1), xticks=epochs[4::5])
left.set_title("Twenty epochs are enough")
left.axhline(0.1, color="0.7", linestyle=":")
left.annotate("chance", (1, 0.11), color="0.5")
display = FiltersDisplay.from_estimator(network, X_test[:2], ax=right)
right.set_title("The six filters of 11 x 11 pixels, and what they find in two digits")
display.colorbars_["filters"].set_label("weight")
display.colorbars_["activation_maps"].set_label("activation")
plt.show()
