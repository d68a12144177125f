"""What autoencoders share: rows as their own targets, codes and what is made of them."""

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skbasics._arrays import Border, as_numpy, as_tensor, compute_device, weighted_mean
from skbasics._atomic import training_method
from skbasics._base import NetworkEstimator, stream_method
from skbasics._data import Checked, Sample, check_rows, select
from skbasics._fitted import prediction_architecture
from skbasics._held_out import Parameters
from skbasics._replica import Replica
from skbasics._sklearn import Interval, check_array, check_sample_weight
from skbasics._training import Rows, predict_rows
from skbasics.autoencoder._domain import check_between_0_and_1
from skbasics.autoencoder._observed import Observed
from skbasics.autoencoder._structure import AutoencoderNetwork, Code
from skbasics.network import LINKS


class TrainingRows(NamedTuple):
    """The rows of the last call of fit or, if they are of a `stream`, of partial_fit."""

    X: Any
    weights: Tensor | None
    stream: bool = False

    @classmethod
    def of(cls, sample: Sample, stream: bool = False) -> "TrainingRows":
        """Return the rows of a sample that are trained on."""
        numbers = sample.numbers(sample.train)
        rows = sample.X if numbers is None else select(sample.X, numbers)
        return cls(rows, sample.weights, stream)

    def mean(self, values: Tensor) -> Tensor:
        """Return the weighted mean of values ``(n_rows, width)``."""
        if self.weights is None:
            return values.mean(0)
        return self.weights @ values / self.weights.sum()


class AutoencoderBase(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkEstimator):
    """A transformer whose model is an autoencoder.

    A subclass says what its code is (`_code`), which loss it trains by (`_loss`), how good a row's
    reconstruction is (`_row_scores`), and what is to be told of a fit (`_describe`).
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **NetworkEstimator._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
    }

    _has_targets = False

    _kind: ClassVar[str]
    """The parameter that says what features are; "bernoulli" for yes-no."""

    # What a subclass says.

    @abstractmethod
    def _code(self) -> Code:
        """Return what the code is to be."""

    @abstractmethod
    def _row_scores(self, X: Tensor, parameters: Parameters) -> Tensor:
        """Return the score ``(1, n)`` of each row of a block ``(1, n, n_features)``."""

    @property
    def _scored_width(self) -> int:
        """How many numbers `_row_scores` computes of a row in its widest layer."""
        return prediction_architecture(self._structure).widest

    def _held_out_scores(self, X: Tensor, parameters: Parameters) -> Tensor:
        """Return what early stopping goes by, as `_row_scores` does."""
        return self._row_scores(X, parameters)

    def _describe(self, training: "TrainingRows", parameters: Parameters, border: Border) -> None:
        """Set the attributes that tell how the code behaves on the rows of training."""

    # Training.

    @training_method
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train encoder and decoder.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. Sparse rows become dense a batch at a time.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows: how often each counts.
        X_val : array-like, default=None
            Rows to validate on after each epoch; with ``early_stopping`` they decide.
        sample_weight_val : array-like, default=None
            Their weights.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            For data that scikit-learn's validation refuses, weights that are negative or all
            zero, values outside the loss's domain, and a loss that stops being finite. The
            estimator is then as it was.
        """
        return self._fit(X, None, sample_weight, held_out=(X_val, None, sample_weight_val))

    @stream_method
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train for one pass over some more rows.

        The optimizer, the random numbers and the batch statistics go on from call to call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            New rows, one or more.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit(X, None, sample_weight, stream=True)

    def _validate(self, X: Any, border: Border, **options: Any) -> Any:
        X = super()._validate(X, border, **options)
        if sp.issparse(X) and not X.has_canonical_format:  # values of one place are to be added
            X = X.copy()
            X.sum_duplicates()
        return X

    def _check(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Checked:
        data = check_rows(self, X, sample_weight, reset=reset)
        if getattr(self, self._kind) == "bernoulli":
            check_between_0_and_1(data.X, self._kind)
        return data

    def _encode(
        self, y: Any, *, learn: bool, classes: Any = None, complete: bool = False
    ) -> np.ndarray:
        return y

    def _new_structure(self, X: Any) -> AutoencoderNetwork:
        return AutoencoderNetwork(
            X.shape[1],
            self._hidden_layer_sizes(),
            int(self.n_components),
            self.activation,
            bool(self.batch_norm),
            self._dropout(),
            self._code(),
        )

    def _measure(
        self, data: Checked, rows: Rows, weights: Tensor | None
    ) -> Callable[[Parameters], tuple[float, float]]:
        def measure(parameters: Parameters) -> tuple[float, float]:
            scores = self._scores_of(rows.X, parameters, self._held_out_scores)
            mean = weighted_mean(scores, weights)
            return -mean, mean

        return measure

    def _reading(self) -> tuple:
        return (getattr(self, self._kind),)

    def _read_off(self, sample: Sample, theta: Tensor, statistics: Tensor, first: bool) -> None:
        """Let codes begin about zero, and the decoder at what is best without: the rows' mean."""
        if not first:
            return
        training = TrainingRows.of(sample)
        observed = Observed.of(training.X, training.weights, statistics)
        mean, network = observed.mean, prediction_architecture(self._structure)
        weight, bias = next(part for part in network.split(theta) if part)
        bias -= weight @ mean.to(weight)
        if self._loss().out_activation == "logistic":  # half a row each of zeros and ones more
            mean = torch.logit((observed.weight * mean + 0.5) / (observed.weight + 1))
        last = max((s for s in network.slots if s.name == "intercept"), key=lambda s: s.layer)
        last.view(theta).copy_(mean)
        self._begin(training, observed, theta, statistics)

    def _begin(
        self, training: TrainingRows, observed: Observed, theta: Tensor, statistics: Tensor
    ) -> None:
        """Set what else a fit takes from its training rows before it begins."""

    def _keep(self, replica: Replica, border: Border) -> None:
        if replica.error is None:  # before anything is kept, for it may warn
            training = TrainingRows.of(replica.sample, replica.stopping.stream)
            self._describe(training, replica.kept(), border)
        super()._keep(replica, border)

    # Use.

    def transform(self, X: Any) -> Any:
        """Return the code of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to encode.

        Returns
        -------
        codes : array of shape (n_samples, n_components)
        """
        X, border, learned = self._before_prediction(X, "transform")
        return border.as_caller(self._encoded(X, learned))

    def inverse_transform(self, X: Any) -> Any:
        """Return what codes stand for.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        rows : array of shape (n_samples, n_features)
            The decoder's rows; for yes-no features their probabilities.

        Raises
        ------
        ValueError
            If the codes have another width.
        """
        self._check_caller(X, "inverse_transform")
        border = Border.of(X)
        codes = check_array(X, dtype=[border.xp.float64, border.xp.float32])
        if codes.shape[1] != self._structure.n_components:
            raise ValueError(
                f"X has {codes.shape[1]} columns, and the codes of this {type(self).__name__} have "
                f"{self._structure.n_components}. inverse_transform takes what transform returns."
            )
        learned = self._learned_on(compute_device(border, self.device))
        place = {"device": learned[0].device, "dtype": learned[0].dtype}
        return border.as_caller(self._decoded(as_tensor(codes, **place), learned))

    def reconstruct(self, X: Any) -> Any:
        """Return what is left of each row when it has gone through its code.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        rows : array of shape (n_samples, n_features)
            The same as ``inverse_transform(transform(X))``.
        """
        X, border, learned = self._before_prediction(X, "reconstruct")
        return border.as_caller(self._reconstructed(X, learned))

    def _reconstructed(self, X: Any, parameters: Parameters) -> Tensor:
        return self._through_code(X, parameters)

    def score_samples(self, X: Any) -> Any:
        """Return minus the reconstruction error of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : array of shape (n_samples,)
            Minus the loss of the row: half its squared distance from its reconstruction, or the
            cross-entropy in nats. A low score marks a row that is unlike those of the fit; it is
            -inf where the squared distance is beyond the dtype.
        """
        X, border, learned = self._before_scoring(X, "score_samples")
        return border.as_caller(self._scores_of(X, learned, self._row_scores))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the mean of `score_samples`, higher is better.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
        """
        scores = as_numpy(self.score_samples(X)).astype(float, copy=False)
        if sample_weight is None:
            return float(scores.mean())
        weights = check_sample_weight(as_numpy(sample_weight), scores, ensure_non_negative=True)
        return float(np.average(scores, weights=weights))

    def to_torch(self) -> nn.Module:
        """Return the network as a plain ``nn.Module`` in eval mode, with a copy of the parameters.

        Returns
        -------
        module : torch.nn.Sequential
            Of the modules ``encoder`` and ``decoder``; the latter ends at the logits where
            features are yes-no.
        """
        check_is_fitted(self)
        architecture, n_encoder = self._structure.plain(), self._structure.n_plain_encoder
        parts = {"encoder": slice(n_encoder), "decoder": slice(n_encoder, None)}
        learned = self._learned_on(None)
        modules = {name: architecture.to_module(*learned, part) for name, part in parts.items()}
        return nn.Sequential(OrderedDict(modules)).eval()

    def _before_scoring(self, X: Any, method: str) -> tuple[Any, Border, Parameters]:
        """Return what `_before_prediction` does, of rows that the fitted loss is for."""
        X, border, learned = self._before_prediction(X, method)
        if self.out_activation_ == "logistic":
            check_between_0_and_1(X, self._kind, fitted=True)
        return X, border, learned

    def _encoded(self, X: Any, parameters: Parameters, n_back: int = 0) -> Tensor:
        """Return codes, or what comes so many layers before them."""
        network = prediction_architecture(self._structure)
        n_layers = self._structure.n_encoder - n_back
        return predict_rows(
            lambda X: network.apply(*parameters, X, n_layers=n_layers),
            X,
            parameters[0],
            network.widest,
        )

    def _decoded(self, codes: Tensor, parameters: Parameters) -> Tensor:
        """Return what codes stand for, in the units of the rows."""
        network, first = prediction_architecture(self._structure), self._structure.n_encoder

        def decode(Z: Tensor) -> Tensor:
            out = network.apply(*parameters, Z, first=first)
            return LINKS[self.out_activation_](out[..., : self._structure.n_features])

        return predict_rows(decode, codes, parameters[0], network.widest)

    def _through_code(self, X: Any, parameters: Parameters) -> Tensor:
        """Return what is made of the codes of complete rows."""
        return self._decoded(self._encoded(X, parameters), parameters)

    @torch.no_grad()
    def _scores_of(
        self, X: Any, parameters: Parameters, scores: Callable[[Tensor, Parameters], Tensor]
    ) -> Tensor:
        """Return the scores of all rows, in blocks."""
        return predict_rows(
            lambda block: scores(block, parameters)[..., None],
            X,
            parameters[0],
            self._scored_width,
        )[:, 0]

    @property
    def _n_features_out(self) -> int:
        return self._structure.n_components

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
