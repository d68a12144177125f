"""What several ranks must have alike, so that they make one fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from numbers import Integral
from typing import Any, Self

import joblib
import numpy as np
import scipy.sparse as sp

from skbasics._data import Checked

OWN = {"random_state", "device", "verbose"}
"""Parameters that each rank may have to itself; of random states the first rank's is taken."""

SEEN = ("n_features_in_", "feature_names_in_", "image_shape_")
"""What validation has found in X."""

SHOWN = 200
"""Characters of a value that a message shows."""


@dataclass(frozen=True)
class Term:
    """Something that must be the same on all ranks.

    Attributes
    ----------
    value : object
        What is compared.
    words : str
        What a message says.
    """

    value: Any
    words: str = field(compare=False)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return the term that some value be the same."""
        words = repr(value)
        return cls(comparable(value), words if len(words) <= SHOWN else f"{words[:SHOWN]}...")

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the term that something have the same name."""
        return cls(name, name)


def comparable(value: Any) -> Any:
    """Return something that is equal for equal values, be they in different processes.

    Numbers count by what they are, not by their type, sequences and arrays by their entries,
    dictionaries by theirs in any order.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, float) and value != value:
        return "float", "nan"  # which is not equal to itself
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return value
    if isinstance(value, Mapping):
        return "mapping", frozenset((comparable(k), comparable(v)) for k, v in value.items())
    if isinstance(value, Sequence):
        return tuple(map(comparable, value))
    if is_dataclass(value) and not isinstance(value, type):
        return _kind(value), tuple(comparable(getattr(value, part.name)) for part in fields(value))
    return _kind(value), joblib.hash(value)


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def terms_of_fit(estimator: Any, held_out: Sequence[Any]) -> dict[str, Term]:
    """Return what a fit must have alike beside its data."""
    params = estimator.get_params(deep=False)
    terms = {"the class": Term(_kind(estimator), type(estimator).__name__)}
    for name, value in zip(("X_val", "y_val", "sample_weight_val"), held_out, strict=True):
        terms[name] = Term.named("None" if value is None else "given")
    for name in SEEN:
        terms[name] = Term.of(np.asarray(getattr(estimator, name, None)).tolist())
    terms |= {name: Term.of(value) for name, value in params.items() if name not in OWN}
    seed = params["random_state"]
    seed = repr(int(seed)) if isinstance(seed, Integral) else type(seed).__name__
    return terms | {"random_state": Term.named(seed)}


def terms_of_data(data: Checked) -> dict[str, Term]:
    """Return what validated data must have alike."""
    kind = "numbers" if data.y.dtype.kind in "biuf" else f"{data.y.dtype.kind!r}"
    return {
        "the width of X": Term.named(str(data.X.shape[1])),
        "the dtype of X": Term.named(str(data.X.dtype).rpartition(".")[2]),
        "the columns of y": Term.named(str(data.y.shape[1:])),
        "the kind of y": Term.named(f"sparse {kind}" if sp.issparse(data.y) else kind),
    }


def check_agreed(ranks: Sequence[Mapping[str, Term]]) -> None:
    """Raise if a rank has other terms than the first."""
    for number, terms in enumerate(ranks):
        for name, term in terms.items():
            expected = ranks[0][name]
            if term != expected:
                other = "another that looks alike" if term.words == expected.words else term.words
                raise ValueError(
                    f"The ranks do not agree on {name}: it is {expected.words} on rank 0 and "
                    f"{other} on rank {number}. Give all of them rows of one kind and the same "
                    "parameters."
                )
