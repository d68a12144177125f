"""The fitted attributes of principal components: set by a fit, computed by a stream when asked."""

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.exceptions import NotFittedError

from skbasics._arrays import CPU, Border, as_tensor, compute_device, own_random_state
from skbasics._data import check_weights, select
from skbasics._sklearn import validate_data
from skbasics.decomposition import _solvers as solvers
from skbasics.decomposition._scatter import (
    FEW_ROWS,
    SCATTER_LIMIT,
    Array,
    Collected,
    multiplied_in_float32,
    scatter_moments,
)

SPECTRAL = (
    "components_",
    "explained_variance_",
    "explained_variance_ratio_",
    "singular_values_",
    "mean_",
    "n_components_",
    "noise_variance_",
)
LEARNED = ("_collected", "_dtype", "_fit_svd_solver")


class Rows(NamedTuple):
    """Rows to compute with: NumPy or sparse on the CPU, tensors elsewhere."""

    X: Any
    weights: Array | None
    border: Border

    @property
    def weight(self) -> float:
        """The sum of the weights."""
        return float(self.X.shape[0] if self.weights is None else self.weights.sum())

    @property
    def dtype(self) -> str:
        """The name of the dtype."""
        return str(self.X.dtype).rpartition(".")[2]


def check_rows(estimator: Any, X: Any, sample_weight: Any, *, reset: bool) -> Rows:
    """Validate as scikit-learn does, and drop what weighs nothing."""
    border = Border.of(X)
    dtypes = [border.xp.float64, border.xp.float32]
    X = validate_data(estimator, X, accept_sparse=("csr", "csc"), dtype=dtypes, reset=reset)
    X = X.tocsr() if sp.issparse(X) else X
    weights = None
    if sample_weight is not None:
        counted, weights = check_weights(sample_weight, X)
        X = X if counted is None else select(X, counted)
    device = CPU
    if not sp.issparse(X) and estimator.svd_solver != "arpack":
        device = compute_device(border, estimator.device)
    X = X if sp.issparse(X) else working(X, device)
    return Rows(X, weights if weights is None else working(weights, device), border)


def working(array: Any, device: torch.device) -> Array:
    """Return an array as it is computed with: NumPy's on the CPU, a tensor elsewhere."""
    if device.type != "cpu":
        return as_tensor(array, device=device)
    return array if isinstance(array, np.ndarray) else as_tensor(array, device=device).numpy()


def returning(border: Border) -> Callable[[Array], Any]:
    """Return the function that brings arrays computed with back over the border."""
    return lambda array: border.as_caller(as_tensor(array))


def whole(n_samples: float) -> int:
    """Return the whole number of rows in a sum of weights."""
    return math.floor(n_samples * (1 + 1e-12))


class SpectralAttributes:
    """Attributes that follow from a spectrum.

    After a stream they are missing, and `__getattr__` computes all of them when one is read.
    """

    def __getattr__(self, name: str) -> Any:
        if name in SPECTRAL and "_collected" in vars(self):
            try:
                self._settle()
            except NotFittedError:
                raise
            except ValueError as error:  # `hasattr` and `dir` understand an AttributeError alone
                raise NotFittedError(*error.args) from error
            return vars(self)[name]
        return object.__getattribute__(self, name)  # raises, in the words of who knows why

    def _settle(self) -> None:
        """Compute the attributes of a stream.

        Raises
        ------
        NotFittedError
            If the stream is still too short.
        ValueError
            If a parameter was set to what cannot be after the last `partial_fit`.
        """
        self._validate_params()
        n_features, n_rows = self.n_features_in_, whole(self.n_samples_)
        solvers.check_n_components(self.n_components, "full", n_features, n_features)
        needed = n_features if self.n_components == "mle" else 1
        if isinstance(self.n_components, Integral):
            needed = self.n_components
        if self.n_samples_ <= 1 or n_rows < needed:
            needed = max(2, needed)
            raise NotFittedError(
                f"n_components={self.n_components!r} needs {needed} rows, and this PCA has seen "
                f"{self.n_samples_:g}. Add {needed - self.n_samples_:g} more by partial_fit."
            )
        n_components = solvers.check_n_components(self.n_components, "full", n_rows, n_features)
        border = Border.like(self._anchor)
        (collected,) = self._working(border, self._collected)
        found = solvers.spectrum(collected)
        self._set_spectral(found, n_components, border)

    def _working(self, border: Border, *parts: Collected) -> list[Collected]:
        """Return what streams have shown where it is computed with: for sparse rows, the CPU."""
        device = compute_device(border, self.device)
        if any(sp.issparse(block) for part in parts for block in part.blocks):
            device = CPU
        return [part.mapped(lambda array: working(array, device)) for part in parts]

    @property
    def _anchor(self) -> Any:
        """An array of the namespace and on the device of what was learned."""
        if "components_" in vars(self):
            return self.components_
        if self._collected.moments:
            return self._collected.moments.mean
        block = self._collected.blocks[0]
        return np.empty(0) if sp.issparse(block) else block

    def _forget(self) -> None:
        for name in (*SPECTRAL, *LEARNED, "n_samples_"):
            vars(self).pop(name, None)

    def _go_on(self, collected: Collected, dtype: str, border: Border) -> None:
        """Hold what a stream has shown, and what was computed of less no more."""
        self._forget()
        self._collected = collected.mapped(returning(border))
        self._set_seen(collected.weight, dtype)

    def _set_seen(self, n_samples: float, dtype: str) -> None:
        countable = n_samples < 2**53 and n_samples == int(n_samples)
        self.n_samples_ = int(n_samples) if countable else n_samples
        self._dtype = dtype

    def _set_spectral(self, found: solvers.Spectrum, n_components: Any, border: Border) -> None:
        dtype = getattr(torch, self._dtype)
        n_samples, n_features = self.n_samples_, len(found.mean)
        found = found.cleaned(dtype)
        k = solvers.resolve_n_components(n_components, found.squares, n_samples)
        squares, V = found.components(k, dtype)
        arrays = {
            "components_": V,
            "explained_variance_": squares / (n_samples - 1),
            "explained_variance_ratio_": squares / (found.total or 1.0),
            "singular_values_": squares.sqrt(),
            "mean_": found.shift + found.mean,
        }
        for name, tensor in arrays.items():
            setattr(self, name, border.as_caller(tensor.to(dtype)))
        self.n_components_ = k
        left_out = min(whole(n_samples), n_features) - k
        noise = found.left_out(k) / (n_samples - 1)
        self.noise_variance_ = noise / left_out if left_out > 0 else 0.0

    def _solve(self, data: Rows, n_components: Any) -> tuple[solvers.Spectrum, Collected | None]:
        """Return the spectrum by the chosen solver, and what a stream can go on from."""
        X, weights, border = data
        if self._fit_svd_solver == "covariance_eigh":
            coarse = multiplied_in_float32(X, weights)
            collected = Collected(scatter_moments(X, weights), coarse=coarse)
            return solvers.by_scatter(collected), collected
        if self._fit_svd_solver == "full":
            found = solvers.by_rows(X, weights)
            if X.shape[0] < max(X.shape[1], FEW_ROWS):
                return found, Collected().plus(X, weights)
            few = X.shape[1] <= SCATTER_LIMIT
            return found, Collected(found.moments(data.weight)) if few else None
        rng = own_random_state(self.random_state)
        if self._fit_svd_solver == "arpack":
            return solvers.arpack(X, weights, n_components, self.tol, rng), None
        normalizer, as_tensors = self.power_iteration_normalizer, not isinstance(X, np.ndarray)
        if border.is_numpy and as_tensors and normalizer == "auto":
            normalizer = "QR"
        found = solvers.randomized(
            X,
            weights,
            n_components,
            as_tensors=as_tensors or not border.is_numpy,
            n_iter=self.iterated_power,
            n_oversamples=self.n_oversamples,
            power_iteration_normalizer=normalizer,
            random_state=rng,
        )
        return found, None

    def _check_solver(self, X: Any) -> None:
        if sp.issparse(X) and self.svd_solver in ("full", "randomized"):
            raise TypeError(
                'PCA only support sparse inputs with the "arpack" and "covariance_eigh" solvers, '
                f'while "{self.svd_solver}" was passed. See TruncatedSVD for a possible '
                "alternative."
            )
        if self.svd_solver == "arpack" and not Border.of(X).is_numpy:
            raise ValueError(
                "PCA with svd_solver='arpack' is not supported for Array API inputs. Use 'full', "
                "'covariance_eigh' or 'randomized'."
            )

    def _check_goes_on(self, method: str) -> None:
        if "_collected" not in vars(self):
            chosen = " (which 'auto' took)" if self.svd_solver == "auto" else ""
            raise ValueError(
                f"{method} needs what svd_solver={self._fit_svd_solver!r}{chosen} has not kept: "
                "it found the leading components alone. Fit with svd_solver='covariance_eigh' or "
                "'full', or by partial_fit from the start."
            )
