"""A fitted network: prediction, its inner features, and its parameters to look at."""

import functools
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skbasics._arrays import Border, as_tensor, compute_device
from skbasics._data import as_features
from skbasics._sklearn import check_same_namespace, validate_data
from skbasics._training import predict_rows
from skbasics.network import Architecture, NetworkObjective, feed_forward


class Structure(Protocol):
    """What decides the shapes and the function of an estimator's network: a named tuple.

    Attributes
    ----------
    n_outputs : int
    activation : str or callable
    batch_norm : bool
    dropout : tuple of float
        The drop probability of each dense hidden layer.
    n_hidden, n_layers : int
        Hidden layers, and all that have units: those, the input and the output.
    objective : type
        What its training minimises, made of a network, a loss and a penalty.
    warmup : int
        Epochs for which what is minimised still changes.
    """

    n_outputs: int
    activation: str | Callable
    batch_norm: bool
    dropout: tuple[float, ...]
    n_hidden: int
    n_layers: int
    objective: type[NetworkObjective]
    warmup: int

    def architecture(self, stack: Sequence["Structure"] = ()) -> Architecture:
        """Return the layers that train a stack of such structures; for prediction, of none."""

    def bare(self) -> "Structure":
        """Return what prediction needs of it."""

    def common(self) -> "Structure":
        """Return what the structures of a stack have in common."""

    def fixed(self) -> dict[str, Any]:
        """Return what must stay while a fit is continued, by parameter."""

    def strengths(self) -> str:
        """Return what else decides the size of its loss, in words."""

    def up_to(self, layer: int) -> tuple[Architecture, int]:
        """Return layers whose first so and so many compute a hidden layer."""

    def plain(self) -> Architecture:
        """Return the layers of one network in the textbook's order, for looking at."""

    def arranged(self, features: Tensor) -> Tensor:
        """Return what a hidden layer computed in the caller's order of axes."""


class FeedForward(NamedTuple):
    """The structure of a feed-forward network."""

    n_features: int
    hidden_layer_sizes: tuple[int, ...]
    n_outputs: int
    activation: str | Callable
    batch_norm: bool
    dropout: tuple[float, ...]
    objective = NetworkObjective
    warmup = 0

    def architecture(self, stack: Sequence["FeedForward"] = ()) -> Architecture:
        """Return the layers that train a stack of such structures; for prediction, of none."""
        return feed_forward(
            self.n_features,
            self.hidden_layer_sizes,
            self.n_outputs,
            activation=self.activation,
            batch_norm=self.batch_norm,
            dropout=dropped(stack),
        )

    @property
    def n_hidden(self) -> int:
        """Hidden layers."""
        return len(self.hidden_layer_sizes)

    @property
    def n_layers(self) -> int:
        """Layers, input and output included."""
        return self.n_hidden + 2

    def bare(self) -> "FeedForward":
        """Return what prediction needs of it."""
        return self._replace(dropout=())

    common = bare

    def fixed(self) -> dict[str, Any]:
        """Return what must stay while a fit is continued, by parameter."""
        return without(self._asdict(), "dropout")

    def strengths(self) -> str:
        """Return nothing: its loss is that of its output."""
        return ""

    def up_to(self, layer: int) -> tuple[Architecture, int]:
        """Return layers whose first so and so many compute a hidden layer."""
        layers_each = 3 if self.batch_norm else 2
        return prediction_architecture(self), layers_each * (layer + 1)

    def plain(self) -> Architecture:
        """Return the layers of one network."""
        return self.architecture([self])

    def arranged(self, features: Tensor) -> Tensor:
        """Return the features as they are."""
        return features


def without(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return settings but for some."""
    return {name: value for name, value in settings.items() if name not in names}


def dropped(stack: Sequence[Structure]) -> list[tuple[float, ...]]:
    """Return for each dense hidden layer the drop probabilities of the replicas of a stack."""
    return [*zip(*(structure.dropout for structure in stack), strict=True)]


@functools.lru_cache(maxsize=64)
def _remembered(structure: Structure) -> Architecture:
    return structure.architecture()


def prediction_architecture(structure: Structure) -> Architecture:
    """Return the layers for their pure functions alone.

    They are made once, for a one-row prediction is short; but anew around a user's callable,
    which may not be hashable and is not ours to keep alive.
    """
    if callable(structure.activation):
        return structure.bare().architecture()
    return _remembered(structure.bare())


class FittedNetwork:
    """What an estimator can do once it holds a structure and a row of parameters.

    It reads the private attributes ``_structure``, ``_theta``, ``_statistics`` and
    ``_history``, and the parameters ``device`` and ``dropout``.
    """

    _sparse_input: ClassVar[bool] = True

    def _validate(self, X: Any, border: Border, **options: Any) -> Any:
        """Return X, and y where `options` have one, as scikit-learn's validation leaves them."""
        dtype = [border.xp.float64, border.xp.float32]
        accept_sparse = "csr" if self._sparse_input else False
        return validate_data(self, X, accept_sparse=accept_sparse, dtype=dtype, **options)

    def _outputs(
        self, X: Any, method: str, part: tuple[Architecture, int] | None = None
    ) -> tuple[Tensor, Border]:
        """Return the logits of X, or what the first so many layers of an architecture compute."""
        X, border, learned = self._before_prediction(X, method)
        network, n_layers = part or (prediction_architecture(self._structure), None)
        apply = functools.partial(network.apply, *learned, n_layers=n_layers)
        return predict_rows(apply, X, learned[0], network.widest), border

    def _before_prediction(self, X: Any, method: str) -> tuple[Any, Border, tuple[Tensor, Tensor]]:
        """Return validated rows where they are computed with, their border, and what was learned.

        That is theta and the running statistics, as rows of a stack of one.
        """
        self._check_caller(X, method)
        border = Border.of(X)
        X = self._validate(X, border, reset=False)
        device = compute_device(border, self.device)
        learned = self._learned_on(device)
        return as_features(X, device, learned[0].dtype), border, learned

    def _check_caller(self, X: Any, method: str) -> None:
        """Raise unless there is a fit, of arrays like X."""
        if not hasattr(self, "_theta"):
            check_is_fitted(self)  # raises; the full check costs a tenth of a one-row predict
        check_same_namespace(X, self, attribute="_theta", method=method)

    def _learned_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        theta = as_tensor(self._theta, device=device)[None]
        return theta, as_tensor(self._statistics, device=device)[None]

    def hidden_features(self, X: Any, layer: int = -1) -> Any:
        """Return the activations of a hidden layer: the network's own features of X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input.
        layer : int, default=-1
            The hidden layer, counted from 0, or from the last with negative numbers.

        Returns
        -------
        features : array of shape (n_samples, hidden_layer_sizes[layer])

        Raises
        ------
        ValueError
            If there is no such hidden layer.
        """
        check_is_fitted(self)
        n_hidden = self._structure.n_hidden
        if n_hidden == 0:
            raise ValueError("This network has no hidden layer (hidden_layer_sizes=()).")
        if not (isinstance(layer, Integral) and -n_hidden <= layer < n_hidden):
            raise ValueError(
                f"layer={layer!r} is not a hidden layer: this network has {n_hidden} of them, "
                f"so layer must be an integer from {-n_hidden} to {n_hidden - 1}."
            )
        part = self._structure.up_to(layer % n_hidden)
        features, border = self._outputs(X, "hidden_features", part)
        return border.as_caller(self._structure.arranged(features))

    def to_torch(self) -> nn.Module:
        """Return the network as a plain ``nn.Module``, in eval mode, ending at the logits.

        The module owns a copy of the parameters, in the dtype of the fit.

        Returns
        -------
        module : torch.nn.Sequential
        """
        check_is_fitted(self)
        return self._structure.plain().to_module(*self._learned_on(None))

    @property
    def coefs_(self) -> list[Any]:
        """Weight matrices ``(fan_in, fan_out)``, one a layer; views of the parameters."""
        return self._parameters("coef")

    @property
    def intercepts_(self) -> list[Any]:
        """Bias vectors ``(fan_out,)``, one a layer; views of the parameters."""
        return self._parameters("intercept")

    def _parameters(self, name: str) -> list[Any]:
        self._check_learned(f"{name}s_")
        border, theta = Border.like(self._theta), as_tensor(self._theta)[None]
        architecture = prediction_architecture(self._structure)
        slots = [slot for slot in architecture.slots if slot.name == name]
        slots = sorted(slots, key=lambda slot: slot.layer)
        values = [architecture.layers[s.layer].in_use(name, s.view(theta))[0] for s in slots]
        return [border.as_caller(as_known(value, name)) for value in values]

    def _check_learned(self, attribute: str) -> None:
        if not hasattr(self, "_history"):
            raise AttributeError(f"{type(self).__name__} has no {attribute} before it is fitted.")

    @property
    def history_(self) -> dict[str, Any]:
        """What was recorded of each epoch: equally long arrays by name.

        ``loss`` (penalty included), ``learning_rate``, ``gradient_norm`` (of the epoch's last
        step, before clipping), ``seconds``, and where there was a validation set
        ``validation_loss`` and ``validation_score``, nan for the epochs without one.
        """
        self._check_learned("history_")
        arrays = {name: np.asarray(values) for name, values in self._history.items()}
        return {name: values for name, values in arrays.items() if not np.isnan(values).all()}


def as_known(view: Tensor, name: str) -> Tensor:
    """Return biases as a vector, a weight matrix as ``(fan_in, fan_out)``, filters as they are."""
    if name == "intercept":
        return view.view(-1)
    return view.mT if view.ndim == 2 else view
