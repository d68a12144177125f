"""A fuzzed case: what a user might pass, drawn from lists of names that tell what was wrong."""

import inspect
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
import torch
from sklearn.utils._param_validation import (
    Hidden,
    Interval,
    Options,
    StrOptions,
    _ArrayLikes,
    _Booleans,
    _Callables,
    _RandomStates,
    make_constraint,
)

from tests.reliability.specimens import CLASSIFIERS, Specimen

ROWS = (0, 1, 2, 3, 7, 37)
COLUMNS = (0, 1, 2, 3, 5, 60)
DTYPES = (
    *("bool", "int8", "uint8", "int64", "uint64", "float16", "float32", "longdouble"),
    *("complex128", "object", "str", "bytes", "datetime64[s]", "timedelta64[s]"),
    *("object with None", "object with words", "object with lists"),
)
VALUES = (
    *("normal", "constant", "zeros", "huge", "large", "tiny", "subnormal", "negative", "nan"),
    *("inf", "one row", "counts", "collinear", "far away", "scales", "one entry", "sorted"),
)
ORDERS = ("F", "strided", "reversed", "read-only", "byte-swapped", "unaligned", "broadcast")
CONTAINERS = (
    *("list", "tuple", "list of arrays", "ragged", "DataFrame", "DataFrame, nullable", "polars"),
    *("csr_array", "csc_array", "coo_array", "lil_array", "csr_matrix", "csc_matrix"),
    *("coo_matrix", "memmap", "masked", "masked, hidden", "masked, nan", "torch", "torch, grad"),
    *("np.matrix", "Series", "1-d", "3-d", "scalar", "None", "text", "dict", "set"),
)
TARGETS = (
    *("None", "short", "long", "nan", "inf", "column", "one class", "two classes", "words"),
    *("own class each", "masked, hidden", "2 columns", "3-d", "complex", "object", "bool"),
    *("fractions", "huge", "list", "Series", "empty", "scalar", "sparse", "with None", "dates"),
    *("counts", "negative", "multilabel", "tiny", "torch", "byte-swapped", "read-only"),
)
WEIGHTS = (
    *("ones", "zeros", "negative", "nan", "inf", "short", "column", "huge", "tiny", "one row"),
    *("words", "whole", "scalar", "list", "random", "float32", "complex", "zero class", "torch"),
)
CALLS = ("fit", "fit twice", "refit", "fit_transform", "partial_fit", "partial_fit twice")
LATER = (
    *("one row", "wider", "narrower", "nan", "inf", "empty", "float32", "list", "DataFrame"),
    *("csr_array", "huge", "words", "None", "uint8", "far away", "torch"),
)
QUICK = {
    "VariationalRegressor": {"max_iter": 20, "n_draws": 16, "random_state": 0},
    "VariationalClassifier": {"max_iter": 20, "n_draws": 16, "random_state": 0},
    "FastICA": {"max_iter": 20},
    "VariationalGaussianMixture": {"max_iter": 10},
}
ABSURD = 2**70
WRONG = (None, float("nan"), "bogus", b"bytes", [], {}, -1, 0, 1.5, True, float("inf"), ABSURD)
NESTED = {"optimizer__learning_rate": (0, -1.0, float("nan"), float("inf"), 1e10, 1e300, "x", 1)}
ITERATIONS = ("max_iter", "n_epochs", "n_init", "restarts", "kl_warmup", "iterated_power")


@dataclass(frozen=True)
class Case:
    """What is passed to a specimen; a default is what a careful user would pass.

    Its repr names only what is odd, and is code that makes it.
    """

    rows: int = 24
    columns: int = 4
    dtype: str = "float64"
    values: str = "gamma"
    order: str = "C"
    container: str = "array"
    target: str = "right"
    weights: str = "None"
    call: str = "fit"
    later: str = "same"
    parameters: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __repr__(self) -> str:
        default = Case()
        odd = [(f.name, getattr(self, f.name)) for f in fields(self)]
        odd = [f"{name}={value!r}" for name, value in odd if value != getattr(default, name)]
        return f"Case({', '.join(odd)})"

    def make_rows(self) -> Any:
        random_state = np.random.RandomState(self.seed)
        X = make_values(self.values, self.rows, self.columns, random_state)
        return contained(ordered(cast(X, self.dtype), self.order), self.container)

    def make_y(self, specimen: Specimen) -> Any:
        random_state = np.random.RandomState(self.seed + 1)
        if specimen.data()[1] is None and self.target == "right":
            return None
        return make_target(self.target, self.rows, specimen.kind in CLASSIFIERS, random_state)

    def make_weights(self) -> Any:
        return make_weights(self.weights, self.rows, np.random.RandomState(self.seed + 2))

    def make_later(self, X: Any) -> Any:
        """Return what is predicted on, given what was fitted."""
        random_state = np.random.RandomState(self.seed + 3)
        if self.later == "same":
            return X
        if self.later == "None":
            return None
        rows = {"one row": 1, "empty": 0}.get(self.later, 5)
        columns = self.columns + {"wider": 1, "narrower": -1}.get(self.later, 0)
        values = self.later if self.later in VALUES else "gamma"
        later = make_values(values, rows, max(columns, 0), random_state)
        dtype = {"words": "str"}.get(self.later, self.later)
        later = cast(later, dtype) if dtype in (*DTYPES, "str") else later
        return contained(later, self.later) if self.later in CONTAINERS else later


def make_values(values: str, rows: int, columns: int, random_state: Any) -> np.ndarray:
    gamma = random_state.gamma(4.0, size=(rows, columns))
    made = {
        "gamma": lambda: gamma,
        "normal": lambda: random_state.normal(size=gamma.shape),
        "constant": lambda: np.full_like(gamma, 3.25),
        "zeros": lambda: np.zeros_like(gamma),
        "huge": lambda: gamma * 1e300,
        "large": lambda: gamma * 1e20,
        "tiny": lambda: gamma * 1e-200,
        "subnormal": lambda: gamma * 1e-310,
        "negative": lambda: -gamma,
        "one row": lambda: np.repeat(gamma[:1], rows, axis=0),
        "counts": lambda: random_state.poisson(1.0, size=gamma.shape).astype(float),
        "collinear": lambda: gamma[:, :1] * np.arange(1.0, columns + 1),
        "far away": lambda: gamma + 1e9,
        "scales": lambda: gamma * 10.0 ** np.linspace(-12, 12, columns),
        "sorted": lambda: np.sort(gamma, axis=0),
    }
    if values in made:
        return made[values]()
    if gamma.size:
        gamma.flat[-1] = {"nan": np.nan, "inf": np.inf, "one entry": 1e6}[values]
    return gamma


@np.errstate(all="ignore")
def cast(X: np.ndarray, dtype: str) -> np.ndarray:
    if dtype.startswith("object"):
        X = X.astype(object)
        if X.size and dtype != "object":
            X.flat[0] = {"None": None, "words": "word", "lists": [1, 2]}[dtype[12:]]
        return X
    if np.dtype(dtype).kind in "iubmM":
        X = np.nan_to_num(np.clip(X, -100, 100), nan=0)
        X = X.astype(np.int64) if np.dtype(dtype).kind in "mM" else X
    return X.astype("S" if dtype == "bytes" else dtype)


def ordered(X: np.ndarray, order: str) -> np.ndarray:
    """Return the same values in another layout of memory."""
    if order == "F":
        return np.asfortranarray(X)
    if order == "strided":
        return np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    if order == "reversed":
        return np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
    if order == "byte-swapped":
        return X.astype(X.dtype.newbyteorder())
    if order == "broadcast":
        return np.broadcast_to(X[:1], X.shape)
    if order == "unaligned" and not X.dtype.hasobject:
        memory = np.empty(X.nbytes + 1, np.uint8)[1:]
        memory[:] = np.frombuffer(X.tobytes(), np.uint8)
        return memory.view(X.dtype).reshape(X.shape)
    if order == "read-only":
        X.flags.writeable = False
    return X


def contained(X: np.ndarray, container: str) -> Any:
    """Return the rows in another container; a plain array where it cannot hold them."""
    names = [f"feature {j}" for j in range(X.shape[1])]
    makers = {
        "list": X.tolist,
        "tuple": lambda: tuple(map(tuple, X.tolist())),
        "list of arrays": lambda: list(X),
        "ragged": lambda: [[1.0] * (1 + i % 2) for i in range(len(X))],
        "DataFrame": lambda: pd.DataFrame(X, columns=names),
        "DataFrame, nullable": lambda: pd.DataFrame(X, columns=names).convert_dtypes(),
        "polars": lambda: _polars(X, names),
        "masked": lambda: np.ma.masked_array(X),
        "masked, hidden": lambda: np.ma.masked_array(X, mask=np.eye(*X.shape, dtype=bool)),
        "masked, nan": lambda: np.ma.masked_invalid(np.where(np.eye(*X.shape) > 0, np.nan, X)),
        "torch": lambda: torch.from_numpy(X.copy()),
        "torch, grad": lambda: torch.from_numpy(X.copy()).requires_grad_(),
        "memmap": lambda: _memory_map(X),
        "np.matrix": lambda: np.asmatrix(X),
        "Series": lambda: pd.Series(X[:, 0]),
        "1-d": lambda: X[:, 0],
        "3-d": lambda: X[:, :, None],
        "scalar": lambda: 1.5,
        "None": lambda: None,
        "text": lambda: "text",
        "dict": lambda: {name: X[:, j] for j, name in enumerate(names)},
        "set": lambda: {1.0, 2.0},
    }
    make = makers.get(container) or (lambda: getattr(sp, container)(X))
    if container == "array":
        return X
    try:
        return make()
    except Exception:  # such rows are nowhere to be met in it
        return X


def _polars(X: np.ndarray, names: list[str]) -> Any:
    frame = pl.DataFrame(np.ascontiguousarray(X), schema=names)
    return X if pl.Object in frame.dtypes else frame


def _memory_map(X: np.ndarray) -> np.memmap:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:  # its pages outlive its name
        file.write(np.ascontiguousarray(X).tobytes())
        file.flush()
        return np.memmap(file.name, dtype=X.dtype, mode="r", shape=X.shape)


def make_target(target: str, rows: int, classes: bool, random_state: Any) -> Any:
    right = np.arange(rows) % 3 if classes else random_state.normal(size=rows)
    words = np.array(["a", "b", "c"])[np.arange(rows) % 3]
    right = words if classes else right
    holed = random_state.normal(size=rows)
    makers = {
        "right": lambda: right,
        "None": lambda: None,
        "short": lambda: right[:-1],
        "long": lambda: np.r_[right, right[:1]],
        "nan": lambda: np.r_[holed[1:], np.nan],
        "inf": lambda: np.r_[holed[1:], np.inf],
        "column": lambda: right[:, None],
        "one class": lambda: np.repeat(right[:1], rows),
        "two classes": lambda: np.arange(rows) % 2,
        "words": lambda: words,
        "own class each": lambda: np.arange(rows),
        "masked, hidden": lambda: np.ma.masked_array(right, mask=np.arange(rows) == 0),
        "2 columns": lambda: np.c_[right, right],
        "3-d": lambda: right[:, None, None],
        "complex": lambda: holed + 1j,
        "object": lambda: right.astype(object),
        "bool": lambda: np.arange(rows) % 2 == 0,
        "fractions": lambda: holed,
        "huge": lambda: holed * 1e300,
        "list": right.tolist,
        "Series": lambda: pd.Series(right),
        "empty": lambda: np.array([]),
        "scalar": lambda: 1.0,
        "sparse": lambda: sp.csr_array(np.c_[holed > 0, holed < 0].astype(float)),
        "with None": lambda: np.array([None, *right[1:]], dtype=object),
        "dates": lambda: np.arange(rows).astype("datetime64[s]"),
        "counts": lambda: random_state.poisson(2.0, size=rows),
        "negative": lambda: -np.abs(holed),
        "multilabel": lambda: (np.c_[holed, -holed, holed] > 0).astype(int),
        "tiny": lambda: holed * 1e-300,
        "torch": lambda: torch.arange(rows) % 3,
        "byte-swapped": lambda: right.astype(right.dtype.newbyteorder()),
        "read-only": lambda: ordered(right, "read-only"),
    }
    return makers[target]()


def make_weights(weights: str, rows: int, random_state: Any) -> Any:
    right = random_state.uniform(0.5, 2.0, size=rows)
    first = np.arange(rows) == 0
    makers = {
        "None": lambda: None,
        "ones": lambda: np.ones(rows),
        "zeros": lambda: np.zeros(rows),
        "negative": lambda: np.where(first, -1.0, right),
        "nan": lambda: np.where(first, np.nan, right),
        "inf": lambda: np.where(first, np.inf, right),
        "short": lambda: right[:-1],
        "column": lambda: right[:, None],
        "huge": lambda: right * 8e307,
        "tiny": lambda: right * 1e-310,
        "one row": lambda: first.astype(float),
        "words": lambda: ["heavy"] * rows,
        "whole": lambda: np.arange(rows) % 3,
        "scalar": lambda: 2.0,
        "list": right.tolist,
        "random": lambda: right,
        "float32": lambda: right.astype(np.float32),
        "complex": lambda: right + 1j,
        "zero class": lambda: (np.arange(rows) % 3 > 0).astype(float),
        "torch": lambda: torch.from_numpy(right),
    }
    return makers[weights]()


def parameter_values(specimen: Specimen) -> dict[str, list[Any]]:
    """Return for each parameter values that its constraints allow, and others."""
    known = inspect.signature(type(specimen.estimator)).parameters
    rules = specimen.estimator._parameter_constraints
    values = {name: _allowed_and_not(name, rules[name]) for name in sorted(known) if name in rules}
    if "optimizer" in values:
        values |= {name: list(found) for name, found in NESTED.items()}
    for name in ("verbose", "densmap"):  # it prints, or lets numba compile
        values.pop(name, None)
    return {name: [v for v in found if not _is_slow(v)] for name, found in values.items()}


def _is_slow(value: Any) -> bool:
    """Whether a value hands the work to another package, which first compiles for seconds."""
    return isinstance(value, str) and value in ("nuts", "umap-learn")


def _allowed_and_not(name: str, constraints: list[Any]) -> list[Any]:
    found = [value for rule in constraints for value in _around(name, make_constraint(rule))]
    return [*found, *(value for value in WRONG if name not in ITERATIONS or value != ABSURD)]


def _around(name: str, rule: Any) -> list[Any]:
    if isinstance(rule, Hidden):
        rule = rule.constraint
    if isinstance(rule, Interval):
        return _around_interval(name, rule)
    if isinstance(rule, (StrOptions, Options)):
        return sorted(rule.options, key=repr)
    if isinstance(rule, _ArrayLikes):
        return _ARRAYS
    if isinstance(rule, _RandomStates):
        return [0, None, np.int64(3), -1, 2**32, _RANDOM_STATE]
    if isinstance(rule, _Booleans):
        return [True, False, np.True_, 1]
    if isinstance(rule, _Callables):
        return [torch.tanh] if name == "activation" else []
    return ["cpu", "cuda", "meta", {"a": 1}, 2] if hasattr(rule, "type") else []


_RANDOM_STATE = np.random.RandomState(0)
_ARRAYS = [
    *([], [2], (3, 2), [2, 2, 1], [0.5], [-1], [0], [np.nan], ["word"], [None], [[1, 2], [3, 4]]),
    *(np.eye(4), np.eye(2), np.array([1.0, 2.0, 0.5, 4.0])),
]


def _around_interval(name: str, rule: Interval) -> list[Any]:
    """Return the ends of an interval, what lies close to them on both sides, and its middle."""
    step = 1 if issubclass(rule.type, Integral) else 1e-9
    ends = [end for end in (rule.left, rule.right) if end is not None and np.isfinite(end)]
    around = [end + side for end in ends for side in (-step, 0, step)]
    inside = [(ends[0] + ends[1]) / 2] if len(ends) == 2 else [ends[0] + 2, ends[0] + 5]
    if issubclass(rule.type, Integral):
        return [*around, *inside, np.int8(3)]
    assert issubclass(rule.type, Real)
    return [*around, *inside, np.float32(0.5), *([] if len(ends) == 2 else [1e-300, 1e300])]
