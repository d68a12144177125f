"""Backpropagation against finite differences."""

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skbasics._arrays import SEED_BOUND, own_random_state
from skbasics._collective import refuse_in_group
from skbasics._fitted import as_known
from skbasics._sklearn import Interval, validate_parameter_constraints
from skbasics.inspection._differences import SMALL, Surface, agreement
from skbasics.inspection._gradient_check import BlockCheck, GradientCheck
from skbasics.inspection._subject import stand, subject
from skbasics.network import Architecture, Slot

N_DIRECTIONS = 3
"""Random directions in each block of which not every entry is checked."""

NAMES = {"coef": "coefs_", "intercept": "intercepts_"}

CONSTRAINTS: dict[str, list] = {
    "n_parameters": [Interval(Integral, 1, None, closed="left"), None],
    "tolerance": [Interval(Real, 0, None, closed="neither")],
}


def check_gradients(
    estimator: Any,
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    n_parameters: int | None = 30,
    tolerance: float = 1e-5,
    random_state: Any = None,
) -> GradientCheck:
    r"""Check the backward pass of a network against finite differences of its training loss.

    For entries :math:`\theta_i` of every weight matrix and bias vector, the gradient g of our
    backward pass is held against

    .. math::
        d_i = \frac{L(\theta + h e_i) - L(\theta - h e_i)}{2 h}, \qquad
        \text{error}_i = \frac{|g_i - d_i|}{\max(|g_i|, |d_i|, s)}

    in float64, with L the loss of a training step, penalties included, and s a thousandth of the
    block's largest gradient, or more where rounding hides more. A network that is fitted is
    checked at its weights, another where its fit would begin. Dropout, latents, edges and the like
    are drawn alike in every evaluation. The long forces that `ParametricUMAP` cuts in training are
    left whole. The estimator is not changed.

    Where the loss has a kink (a rectifier at zero) within h, smaller steps are tried. At a kink
    that stays, the one-sided differences disagree, and any number between them is right. Such
    entries are counted as kinks, and are no errors.

    Parameters
    ----------
    estimator : estimator
        A network of the package, fitted or not; of a pipeline the last step counts, of a fitted
        search the best estimator.
    X : array-like of shape (n_samples, n_features)
        Rows, as `fit` takes them. They make one batch, of the estimator's batch size at most; some
        tens are enough.
    y : array-like, default=None
        Targets, as `fit` takes them.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.
    n_parameters : int or None, default=30
        Entries of each block that are checked, at most, drawn at random; of a larger block so are
        three random directions, which see all of its entries. None checks every entry.
    tolerance : float, default=1e-5
        The relative error that is allowed.
    random_state : int, RandomState instance or None, default=None
        Draws the entries, and the initial weights where the estimator's own is None.

    Returns
    -------
    found : GradientCheck

    Raises
    ------
    TypeError
        If the estimator is not a network of the package.
    ValueError
        For parameters and data that `fit` refuses, and where the loss is not finite.

    See Also
    --------
    layer_health : Whether a gradient that is right is of any use.

    Notes
    -----
    Where `VAETransformer` holds a log variance at its bounds, as it does for rows of wild scale,
    its backward pass leads back and is not the derivative, on purpose. There the check finds it
    wrong: scale the features.

    References
    ----------
    Goodfellow, Bengio and Courville, "Deep Learning", MIT Press 2016, section 11.5.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skbasics import MLPClassifier, check_gradients
    >>> X, y = load_digits(return_X_y=True)
    >>> network = MLPClassifier((30, 20), dropout=0.2, batch_norm=True, random_state=0)
    >>> found = check_gradients(network, X[:50] / 16, y[:50], random_state=0)
    >>> found.ok, len(found.blocks)
    (True, 10)
    """
    refuse_in_group("check_gradients")
    given = {"n_parameters": n_parameters, "tolerance": tolerance}
    validate_parameter_constraints(CONSTRAINTS, given, caller_name="check_gradients")
    draws = own_random_state(random_state)
    network, X, y = subject(estimator, X, y, "check_gradients", draws)
    run, batch = stand(network, X, y, sample_weight, double=True)
    for layer in run.network.priced_layers:
        layer.go_downhill()
    surface = Surface(run, batch, draws.randint(SEED_BOUND))
    kind = type(network).__name__
    if not np.isfinite(surface.loss):
        raise ValueError(
            f"The training loss of {kind} on these rows is {surface.loss}, and has no slopes. "
            "Scale the features (StandardScaler), or start with smaller weights."
        )
    blocks = [
        _checked(surface, name, slot, n_parameters, tolerance, draws)
        for name, slot in _named(run.network.architecture)
    ]
    return GradientCheck(kind, surface.loss, tuple(blocks), float(tolerance))


def _named(architecture: Architecture) -> Iterator[tuple[str, Slot]]:
    """Yield each parameter's slot under the name that the user knows it by, in layers' order."""
    counts: dict[str, int] = {}
    for slot in sorted(architecture.slots, key=lambda slot: slot.layer):
        name = NAMES.get(slot.name, slot.name)
        yield f"{name}[{counts.get(name, 0)}]", slot
        counts[name] = counts.get(name, 0) + 1


def _checked(
    surface: Surface,
    name: str,
    slot: Slot,
    n_parameters: int | None,
    tolerance: float,
    draws: np.random.RandomState,
) -> BlockCheck:
    gradient = surface.gradient[slot.start : slot.stop]
    places = torch.arange(len(gradient)).view(slot.shape)
    places = as_known(places, slot.name if slot.name == "coef" else "intercept")
    scale = SMALL * float(gradient.abs().max())
    found = [
        (entry, agreement(surface, columns, direction, scale=scale, tolerance=tolerance))
        for entry, columns, direction in _ways(gradient, slot.start, n_parameters, draws)
    ]
    entry, worst = max(found, key=lambda pair: pair[1].relative)
    return BlockCheck(
        name,
        tuple(places.shape),
        sum(entry is not None for entry, _ in found),
        sum(agreed.kink for _, agreed in found),
        float(torch.linalg.vector_norm(gradient)),
        max(agreed.absolute for _, agreed in found),
        worst.relative,
        None if entry is None else tuple(torch.nonzero(places == entry)[0].tolist()),
    )


def _ways(
    gradient: Tensor, start: int, n_parameters: int | None, draws: np.random.RandomState
) -> Iterator[tuple[int | None, slice, Tensor]]:
    """Yield entries of a block and random directions, with the columns of theta they move."""
    size = len(gradient)
    whole = n_parameters is None or size <= n_parameters
    entries = np.arange(size) if whole else np.sort(draws.choice(size, n_parameters, replace=False))
    for entry in entries.tolist():
        yield entry, slice(start + entry, start + entry + 1), gradient.new_ones(1)
    for _ in range(0 if whole else N_DIRECTIONS):
        direction = torch.from_numpy(draws.standard_normal(size)).to(gradient.device)
        yield None, slice(start, start + size), direction / torch.linalg.vector_norm(direction)
