"""What was seen of the layers of a fitted network."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from skbasics._tables import Tabular, aligned

FEW_DEAD = 0.1
"""A larger share of dead units is remarked on."""

MANY_SATURATED = 0.5
FAR_APART = 1e3
"""Between the gradients of the first and the last layer, a factor that is remarked on."""


class HiddenLayer(NamedTuple):
    """A hidden layer of units.

    Attributes
    ----------
    layer : int
        Counted from 1: its weights are ``coefs_[layer - 1]``.
    activation : str
    n_units : int
        Units; filters of a convolution.
    n_dead : int
        Units that are zero, with derivative zero, wherever they were looked at: no gradient
        reaches their weights.
    saturated : float
        The share of activations of "logistic" or "tanh" whose derivative is below a hundredth of
        its maximum; nan for others.
    mean_activation, mean_derivative : float
    sparsity : float
        The share of activations that are zero.
    gradient_norm : float
        Of the layer's weights; nan where there was no gradient.
    """

    layer: int
    activation: str
    n_units: int
    n_dead: int
    saturated: float
    mean_activation: float
    mean_derivative: float
    sparsity: float
    gradient_norm: float

    def remarks(self) -> list[str]:
        """Return what is wrong with it, in sentences."""
        found = []
        if self.n_dead > FEW_DEAD * self.n_units:
            dead = "is" if self.n_dead == 1 else "are"
            found.append(
                f"layer {self.layer}: {self.n_dead} of {self.n_units} units {dead} dead; "
                f"{self._revival()}."
            )
        if self.saturated > MANY_SATURATED:
            found.append(
                f"layer {self.layer}: {self.saturated:.0%} of the activations are saturated, and "
                "let hardly any gradient through; scale the features (StandardScaler), or use "
                "activation='relu'."
            )
        return found

    def _revival(self) -> str:
        if self.activation == "topk":
            return "raise n_active, or take fewer n_components"
        return "lower the learning rate, or use activation='leaky_relu'"


@dataclass(frozen=True, eq=False, repr=False)
class LayerHealth(Tabular):
    """What the hidden layers of a network do with some rows.

    Prints as a table.

    Attributes
    ----------
    name : str
        The class of the estimator.
    n_rows : int
        Rows that were looked at.
    layers : tuple of HiddenLayer
        A row for each: ``layer`` (its weights are ``coefs_[layer - 1]``), ``activation``,
        ``n_units``, ``n_dead``, ``saturated``, ``mean_activation``, ``mean_derivative``,
        ``sparsity``, ``gradient_norm``.
    gradient_norms : tuple of float
        The norm of the gradient by the weights of every layer, the output's last; empty where
        there were no targets.
    gradient_ratio : float
        The first layer's by the last one's; nan without.
    remarks : list of str
        What is wrong, and what may help; empty where nothing is.

    See Also
    --------
    layer_health : Makes one.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skbasics import MLPClassifier, layer_health
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((8,), "tanh", max_iter=20, tol=0, random_state=0).fit(X, y)
    >>> found = layer_health(network, X)
    >>> [(row.layer, row.activation, row.n_units, row.n_dead) for row in found.layers]
    [(1, 'tanh', 8, 0)]
    """

    name: str
    n_rows: int
    layers: tuple[HiddenLayer, ...]
    gradient_norms: tuple[float, ...] = ()

    _kind = HiddenLayer

    @property
    def _rows(self) -> tuple[HiddenLayer, ...]:
        return self.layers

    @property
    def gradient_ratio(self) -> float:
        """The norm of the first layer's gradient by that of the last."""
        if not self.gradient_norms or self.gradient_norms[-1] == 0:
            return math.nan
        return self.gradient_norms[0] / self.gradient_norms[-1]

    @property
    def remarks(self) -> list[str]:
        """What is wrong, and what may help, in sentences."""
        remarks = [remark for row in self.layers for remark in row.remarks()]
        ratio, last = self.gradient_ratio, len(self.gradient_norms)
        if ratio < 1 / FAR_APART:
            remarks.append(
                f"the gradient vanishes: that of layer 1 is {ratio:.1e} of that of layer {last}; "
                "try batch_norm=True, fewer layers, or activation='relu' if it is another."
            )
        elif ratio > FAR_APART:
            remarks.append(
                f"the gradient explodes: that of layer 1 is {ratio:.1e} times that of layer "
                f"{last}; try batch_norm=True, fewer layers or smaller initial weights."
            )
        return remarks

    def __repr__(self) -> str:
        head = f"Hidden layers of {self.name} on {self.n_rows:,} rows"
        header = ("layer", "activation", "units", "dead", "saturated", "mean", "derivative")
        cells = [_cells(row) for row in self.layers]
        table = aligned((*header, "zero", "gradient"), cells, right=(0, *range(2, 9)))
        return "\n".join([head, table, *self.remarks])


def _cells(row: HiddenLayer) -> list[str]:
    return [
        str(row.layer),
        row.activation,
        f"{row.n_units:,}",
        f"{row.n_dead:,}",
        _known(row.saturated, ".0%"),
        f"{row.mean_activation:.3g}",
        f"{row.mean_derivative:.3g}",
        f"{row.sparsity:.0%}",
        _known(row.gradient_norm, ".2e"),
    ]


def _known(value: float, how: str) -> str:
    return "" if math.isnan(value) else format(value, how)
