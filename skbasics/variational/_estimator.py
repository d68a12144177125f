"""What the Bayesian regressor and classifier share: how a posterior is found and judged."""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if
from tqdm import tqdm

from skbasics._arrays import as_tensor, compute_device, own_random_state
from skbasics._atomic import forget, training_method
from skbasics._callbacks import FitTasks, iterations
from skbasics._data import Checked, as_weights, check_data, floating_dtype
from skbasics._gaussian import spread
from skbasics._options import EngineParameters
from skbasics._sklearn import CallbackSupportMixin, Interval, StrOptions
from skbasics._training import Rows
from skbasics.network import ACTIVATIONS, Loss, feed_forward
from skbasics.optim import OPTIMIZERS, Optimizer
from skbasics.variational._fitted_posterior import FittedPosterior
from skbasics.variational._networks import network_steps
from skbasics.variational._nuts import check_pyro, sample_nuts
from skbasics.variational._problem import Found, Problem
from skbasics.variational._psis import effective_share, pareto_k, warn_of_tail

POSITIVE = Interval(Real, 0, None, closed="neither")
COUNT = Interval(Integral, 1, None, closed="left")

N_RATIOS = 1000
"""Draws for k-hat, at most."""

RATIO_ROWS = 10**7
"""Rows that are looked at for them, about: more rows, fewer draws, but never under 250."""

PRIVATE = (
    *("_mean", "_scale", "_center", "_draws", "_seed", "_units", "_sizes", "_width"),
    *("_activation", "_moments"),
)
"""The private attributes of a fitted estimator."""


def _is_gaussian(estimator: Any) -> bool:
    if estimator.inference == "nuts":
        raise AttributeError(
            "partial_fit needs a Gaussian posterior for its next prior, and inference='nuts' "
            "gives draws. Take inference='full_rank' for a stream."
        )
    return True


def stream_method(method: Callable) -> Callable:
    """Decorate `partial_fit`: a training method, missing where the posterior is draws."""
    return available_if(_is_gaussian)(training_method(method))


def _check_scale(name: str, scale: float | str) -> None:
    """Raise if calculations with the powers of a scale would leave the range of float64."""
    if scale != "learned" and not 1e-50 < float(scale) < 1e50:
        raise ValueError(
            f"{name}={scale:g} is beyond the scales, 1e-50 to 1e50, whose powers are numbers. "
            "Measure X or y in other units."
        )


class VariationalEstimator(CallbackSupportMixin, FittedPosterior, EngineParameters, ABC):
    """A model with a posterior in the place of coefficients."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "hidden_layer_sizes": ["array-like", COUNT],
        "activation": [StrOptions(set(ACTIVATIONS)), callable],
        "inference": [StrOptions({"auto", "mean_field", "full_rank", "nuts"})],
        "prior_scale": [POSITIVE, StrOptions({"learned"})],
        "optimizer": [StrOptions(set(OPTIMIZERS)), Optimizer],
        "n_samples": [COUNT],
        "n_draws": [Interval(Integral, 16, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), COUNT],
        "max_iter": [COUNT],
        "tol": [Interval(Real, 0, None, closed="left")],
        "device": [str, torch.device, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    _y_numeric: ClassVar[bool] = True

    # What a subclass says.

    @abstractmethod
    def _encode(self, y: Any, first: bool, classes: Any) -> np.ndarray:
        """Return y as numbers ``(n, 1)``; the coding is learned in the first call."""

    @abstractmethod
    def _model(self) -> tuple[int, Loss]:
        """Return the number of outputs, and the loss."""

    @abstractmethod
    def _linear_steps(self, problem: Problem, first: bool) -> Iterator[Found]:
        """Yield the posteriors of a linear model, each nearer to the best."""

    # The fit.

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, *, stream: bool = False, classes: Any = None
    ) -> Self:
        """Find the posterior of the data, or in a stream of these and all that came before."""
        first = not (stream and hasattr(self, "_mean"))
        if first:
            self._forget()
        if self.inference == "nuts":
            check_pyro()
        data = check_data(self, X, y, sample_weight, reset=first, y_numeric=self._y_numeric)
        problem = self._problem(data, first, classes)
        observer = None
        if getattr(self, "_skl_callbacks", None) and not stream:
            given = X, y, sample_weight
            observer = FitTasks(
                self, given, self.max_iter, lambda found: self._learned(found, data), "iteration"
            )
        found, halted = self._search(problem, first, observer)
        vars(self).update(self._learned(found, data))
        self._diagnose(found, problem, halted)
        if self.inference == "nuts":
            self._sample(found, problem, data)
        if observer is not None:
            observer.end()
        return self

    def _forget(self) -> None:
        """Drop what an earlier fit learned."""
        forget(self, PRIVATE)

    def _problem(self, data: Checked, first: bool, classes: Any) -> Problem:
        """Return the data as tensors, with the model for them."""
        if data.y.ndim > 1:
            raise ValueError(
                f"y has {data.y.shape[1]} columns, and {type(self).__name__} takes one. Wrap it in "
                "MultiOutputRegressor or MultiOutputClassifier of sklearn.multioutput."
            )
        target = self._encode(data.y, first, classes)
        sizes = self._hidden_layer_sizes()
        for name in ("prior_scale", "noise_scale"):
            _check_scale(name, getattr(self, name, "learned"))
        self._keep("hidden_layer_sizes", "_sizes", sizes, first)
        self._keep("activation", "_activation", self.activation, first)
        self._width, loss = self._model()
        device = compute_device(data.border, self.device)
        X = as_tensor(data.X, device=device, dtype=None if sizes else torch.float64).contiguous()
        y = as_tensor(target, device=device)
        rows = Rows(X, y.to(X.dtype) if y.is_floating_point() else y)
        return Problem(
            rows.X,
            rows.y,
            as_weights(data.weights, rows),
            feed_forward(X.shape[1], sizes, self._width, activation=self.activation),
            loss,
            self._independent(sizes),
            own_random_state(self.random_state),
            data.border,
        )

    def _keep(self, name: str, attribute: str, value: Any, first: bool) -> None:
        """Set what a fit is made with; raise if it is another than in the fit continued."""
        before = value if first else getattr(self, attribute)
        if before != value:
            raise ValueError(
                f"{name} was {before!r} in the fit that this one continues, and is now {value!r}. "
                "Set it back, or start afresh with fit."
            )
        setattr(self, attribute, value)

    def _independent(self, sizes: tuple[int, ...]) -> bool:
        if sizes and self.inference == "full_rank":
            raise ValueError(
                "inference='full_rank' is for linear models (hidden_layer_sizes=()): the "
                "covariance of a network's weights has their number squared. Take 'mean_field', "
                "or 'nuts' for a small network."
            )
        return bool(sizes) or self.inference == "mean_field"

    def _search(
        self, problem: Problem, first: bool, observer: FitTasks | None
    ) -> tuple[Found, bool]:
        """Step until the search ends or a callback stops it; return whether one did."""
        if self._sizes:
            steps = network_steps(self, problem, first)
        else:
            steps = self._linear_steps(problem, first)
        curve = []
        with tqdm(total=self.max_iter, desc=type(self).__name__, disable=not self.verbose) as bar:
            for found, stopped in iterations(steps, observer):
                halted = stopped
                curve.append(found.elbo)
                bar.update()
        self.elbo_curve_, self.n_iter_, self.elbo_ = curve, len(curve), curve[-1]
        return found, halted

    def _learned(self, found: Found, data: Checked) -> dict[str, Any]:
        """Return the attributes that prediction needs, in the caller's arrays."""
        arrays = {"_mean": found.mean, "_scale": found.scale, "_center": found.center}
        dtype = floating_dtype(data.X)
        learned = {
            name: data.border.as_caller(array.to(dtype, copy=True))
            for name, array in arrays.items()
        }
        learned |= {"_draws": None, "_seed": 0, "_units": found.units}
        return learned | {"prior_scale_": found.prior_scale}

    def _diagnose(self, found: Found, problem: Problem, halted: bool) -> None:
        """Set k-hat, and warn of what is to be doubted."""
        if not found.converged and not halted:
            by = f", by {found.gain:.2g} nats in the last" if math.isfinite(found.gain) else ""
            warnings.warn(
                f"The evidence lower bound was still rising after max_iter={self.n_iter_} "
                f"iterations{by}. Raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=2,
            )
        self._seed = int(problem.random_state.randint(2**31 - 1))
        self.pareto_k_ = -math.inf
        for name in ("r_hat_", "effective_sample_size_"):  # which an earlier sampler may have left
            vars(self).pop(name, None)
        if found.log_density is None:
            return
        n_ratios = max(250, min(N_RATIOS, RATIO_ROWS // (len(problem.X) * self._width)))
        shape = n_ratios, len(found.mean)
        noise = torch.from_numpy(problem.random_state.standard_normal(shape)).to(found.mean)
        values = found.log_density(spread(found.mean, found.scale, noise))
        ratios = (values + noise.square().sum(1) / 2).double().cpu().numpy()
        self.pareto_k_, share = pareto_k(ratios), effective_share(ratios)
        # Of a network's many weights k says little: other weights are the same function.
        if not self._sizes:
            family = "mean_field" if found.scale.ndim == 1 else "full_rank"
            warn_of_tail(self.pareto_k_, share, family, stacklevel=2)

    def _sample(self, found: Found, problem: Problem, data: Checked) -> None:
        """Draw from the posterior itself, starting from the Gaussian."""
        drawn = sample_nuts(
            found.target,
            found.mean,
            found.scale,
            self.n_draws,
            problem.random_state,
            self.verbose,
        )
        for name, array in (
            ("_draws", drawn.draws),
            ("r_hat_", drawn.r_hat),
            ("effective_sample_size_", drawn.effective_sample_size),
        ):
            setattr(self, name, data.border.as_caller(array.to(floating_dtype(data.X))))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags
