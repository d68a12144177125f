"""A network apart from its estimator: where a fit would begin, or where a fit has left it."""

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, has_fit_parameter
from torch import Tensor

from skbasics._arrays import SEED_BOUND, as_tensor
from skbasics._base import NetworkEstimator
from skbasics._data import Checked, are_pixels
from skbasics._inner import innermost
from skbasics._run import Run
from skbasics._sklearn import validate_parameter_constraints
from skbasics._training import Batch
from skbasics.optim import SGD, GradientDescent, resolve_optimizer


def subject(
    estimator: Any, X: Any, y: Any, asked_by: str, draws: np.random.RandomState
) -> tuple[NetworkEstimator, Any, Any]:
    """Return a copy of the network that an estimator trains, and rows and targets as it sees them.

    Of a pipeline that is the last step, of a search the best estimator. Steps before the network
    that are not fitted are fitted on X, as copies. Where the network has no random state, it gets
    one from `draws`.

    Raises
    ------
    TypeError
        If what is inside is not a network of the engine.
    """
    y = _targets(estimator, y)
    network, X = innermost(_with_fitted_steps(estimator, X, y), X)
    if not isinstance(network, NetworkEstimator):
        is_class = isinstance(network, type)
        kind = f"the class {network.__name__}" if is_class else type(network).__name__
        raise TypeError(
            f"{asked_by} looks into networks that skbasics trains (MLPClassifier, "
            f"ConvNetRegressor, Autoencoder, ...), got {kind}. Pass an object of those, a pipeline "
            "that ends with one, or a fitted search over one."
        )
    copied = clone(network)
    given = network.get_params(deep=False)
    learned = {name: value for name, value in vars(network).items() if name not in given}
    vars(copied).update(learned)
    rules, values = copied._parameter_constraints, copied.get_params(deep=False)
    validate_parameter_constraints(rules, values, caller_name=type(copied).__name__)
    seed = draws.randint(SEED_BOUND)  # whether it is needed or not: other draws stay the same
    copied.random_state = seed if copied.random_state is None else copied.random_state
    return copied, X, y


def _targets(estimator: Any, y: Any) -> Any:
    """Return targets as the regressor in a fitted TransformedTargetRegressor sees them."""
    outer = getattr(estimator, "best_estimator_", estimator)
    if y is None or not hasattr(outer, "transformer_"):
        return y
    y = np.asarray(y)
    changed = outer.transformer_.transform(y.reshape(len(y), -1))
    return changed[:, 0] if changed.shape[1] == 1 else changed


def _with_fitted_steps(estimator: Any, X: Any, y: Any) -> Any:
    """Return a pipeline whose steps before the last are fitted; anything else as it is."""
    if not isinstance(estimator, Pipeline) or len(estimator) == 1:
        return estimator
    before = estimator[:-1]
    try:
        check_is_fitted(before)
    except NotFittedError:
        before = clone(before).fit(X, y)
    return Pipeline([*before.steps, estimator.steps[-1]])


def begin(network: NetworkEstimator, X: Any, y: Any, sample_weight: Any, *, double: bool) -> Run:
    """Return a run before its first step: from new weights, or those of the fit if there is one.

    No rows are held out. In `double` precision all is computed in float64, whatever X is.
    """
    if sample_weight is not None and not has_fit_parameter(network, "sample_weight"):
        raise ValueError(f"{type(network).__name__} takes no sample_weight. Leave it out.")
    first = not hasattr(network, "_theta")
    data = network._check(X, y, sample_weight, reset=first)
    if double:
        data = _in_double(data)
        if not first:
            for name in ("_theta", "_statistics"):
                setattr(network, name, as_tensor(getattr(network, name)).double())
    # As one pass of a stream: it takes all rows, and not all classes need be there.
    replica = network._replica(data, {}, first=first, stream=True)
    if double:
        replica.theta, replica.statistics = replica.theta.double(), replica.statistics.double()
    return Run([replica])


@torch.no_grad()
def stand(
    network: NetworkEstimator, X: Any, y: Any, sample_weight: Any, *, double: bool
) -> tuple[Run, Batch]:
    """Return a run before its first step, and the batch of that; the copy's rule is replaced.

    What a rule forbids (L-BFGS dropout, Newton many parameters) says nothing of the gradient.
    """
    whole = resolve_optimizer(network.optimizer).full_batch
    network.optimizer = GradientDescent() if whole else SGD()
    if double and getattr(network, "precision", None) is not None:
        network.precision = None
    run = begin(network, X, y, sample_weight, double=double)
    batch = next(run.batches.epoch(np.ones(1, bool)))
    return run, _batch_in_double(batch) if double else batch


def _in_double(data: Checked) -> Checked:
    """Return checked data with numbers in float64; pixels stay whole, and are so in a batch."""
    if are_pixels(data.X):
        return data
    if sp.issparse(data.X):
        return replace(data, X=data.X.astype(np.float64))
    return replace(data, X=as_tensor(data.X).double())


def _batch_in_double(batch: Batch) -> Batch:
    def wide(part: Any) -> Any:
        floats = isinstance(part, Tensor) and part.is_floating_point()
        return part.double() if floats else part

    names = ("X", "y", "weights", "totals")
    return replace(batch, **{name: wide(getattr(batch, name)) for name in names})
