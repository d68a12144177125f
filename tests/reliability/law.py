"""The law that every case is tried by: a right answer, or a clear refusal that leaves no trace."""

import ast
import contextlib
import copy
import faulthandler
import linecache
import pickle
import re
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

import skbasics
from tests.reliability.cases import QUICK, Case
from tests.reliability.specimens import PREDICTIONS, Specimen

SECONDS = 20
REFUSALS = (ValueError, TypeError, MemoryError)
WARNINGS = [
    (ConvergenceWarning, r"."),
    (DataConversionWarning, r"A column-vector y was passed when a 1d array was expected"),
    (UserWarning, r"^batch_size=\d+ is larger than the \d+ rows to train on; every epoch is one"),
    (UserWarning, r"^n_neighbors=\d+ is too many for \d+ distinct rows; it is set to \d+\.$"),
    (UserWarning, r"^n_components=\w+ is more than a table of \d+ rows and \d+ columns has; \d+"),
    (UserWarning, r"^n_components is too large: it will be set to \d+, the smaller of n_samples"),
    (UserWarning, r"^Ignoring n_components with whiten=False\.$"),
    (UserWarning, r"^There are some small singular values: X varies in \d+ directions"),
    (UserWarning, r"sums? to zero; (its|their) coordinates are zero\.$"),
    (UserWarning, r"^The Gaussian \(\w+\) does not cover the posterior: pareto_k="),
    (UserWarning, r"takes rows without image_shape as signals of 1 x \d+, to which windows are"),
    (UserWarning, r"^X (has|does not have valid) feature names, but \w+ was fitted with"),
    (UserWarning, r"^The number of unique classes is greater than 50% of the number of samples"),
]
"""What a fit may warn of, and in which words."""
PARTS = ("data", "indices", "indptr", "coords", "rows", "_shape")
HERE = str(Path(skbasics.__file__).parent)
THERE = "/sklearn/"


class Hung(BaseException):
    """A case took so long that it hangs; no `except Exception` may swallow this."""


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise `Hung` where the code runs, if it does not end in time."""

    def stop(*_: Any) -> None:
        raise Hung(f"no end after {seconds} seconds")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)  # of work: others may have the cores
    faulthandler.dump_traceback_later(30 * seconds, exit=True)  # should it wait forever
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGPROF, before)


def uphold(specimen: Specimen, case: Case) -> str:
    """Assert the law on a case; return how it ended, "refused" or "answered"."""
    estimator = specimen.new(**QUICK.get(specimen.kind, {}))
    X, y, sample_weight = case.make_rows(), case.make_y(specimen), case.make_weights()
    given = fingerprint((X, y, sample_weight))
    with limited(SECONDS), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            return _try(estimator, specimen, case, X, y, sample_weight)
        finally:
            assert fingerprint((X, y, sample_weight)) == given, "the user's arrays have changed"
            for warning in caught:
                assert is_known(warning), f"{warning.category.__name__}: {warning.message}"


def _try(estimator: Any, specimen: Specimen, case: Case, X: Any, y: Any, weights: Any) -> str:
    if case.call == "refit":
        estimator.fit(*specimen.data())
    parameters = copy.deepcopy(case.parameters)
    if refused(lambda: estimator.set_params(**parameters), estimator):
        return "refused"
    options = {} if weights is None or not specimen.weighs else {"sample_weight": weights}
    for method in methods(case.call, estimator):
        # What fits and then refuses to transform is fitted, as anywhere in scikit-learn.
        whole = method.__name__ != "fit_transform"
        if refused(lambda method=method: method(X, y, **options), estimator, whole=whole):
            return "refused"
    later = case.make_later(X)
    shown = fingerprint(later)
    asked = [name for name in PREDICTIONS if hasattr(estimator, name)]
    answers = [answers_rightly(estimator, name, later) for name in asked]
    assert fingerprint(later) == shown, "the user's rows to predict have changed"
    return "answered" if all(answers) else "refused"


def methods(call: str, estimator: Any) -> list[Callable]:
    """Return the methods to call in turn; `fit` stands in for those that are missing."""
    name, _, twice = call.partition(" ")
    method = getattr(estimator, name, estimator.fit)
    return [method] * (1 + (twice == "twice"))


def answers_rightly(estimator: Any, name: str, rows: Any) -> bool:
    """Whether a prediction is made and not refused; assert that either is done well."""
    outputs: list[Any] = []
    learned = dict(vars(estimator))
    before = fingerprint(learned)
    if refused(lambda: outputs.append(getattr(estimator, name)(rows)), estimator):
        return False
    assert fingerprint(learned) == before, f"{name} has changed what was learned"
    public = [key for key in learned if not key.startswith("_")]
    assert all(vars(estimator)[key] is learned[key] for key in public), f"{name} has replaced some"
    n_rows = rows.shape[0] if hasattr(rows, "shape") else len(rows)
    check_output(name, outputs[0], n_rows)
    if name == "transform" and hasattr(estimator, "inverse_transform"):
        back: list[Any] = []
        if not refused(lambda: back.append(estimator.inverse_transform(outputs[0])), estimator):
            check_output("inverse_transform", back[0], n_rows)
    return True


def check_output(name: str, output: Any, n_rows: int) -> None:
    assert output.shape[0] == n_rows, f"{name} has {output.shape[0]} rows for {n_rows}"
    if output.dtype.kind in "fc":
        finite = np.isfinite(output) | ((name == "score_samples") & np.isneginf(output))
        assert finite.all(), f"{name} is not finite"


def refused(action: Callable, estimator: Any, *, whole: bool = True) -> bool:
    """Whether an action is refused; assert that it is on purpose, and if `whole` without trace."""
    held, before = dict(vars(estimator)), fingerprint(vars(estimator))
    try:
        action()
    except Exception as caught:
        error = caught
    else:
        return False
    found = "".join(traceback.format_exception(error)[-6:])
    assert isinstance(error, REFUSALS), f"not a refusal:\n{found}"
    assert is_deliberate(error), f"not in our words:\n{found}"
    if not whole:
        return True
    now = vars(estimator)
    assert now.keys() == held.keys(), f"left behind: {now.keys() ^ held.keys()}"
    assert all(now[name] is held[name] for name in held), "attributes were replaced"
    assert fingerprint(now) == before, "attributes were changed in place"
    return True


def is_deliberate(error: BaseException) -> bool:
    """Whether an error is a sentence that was raised on purpose, here or in scikit-learn."""
    if isinstance(error, MemoryError):
        return True
    passed = [
        (frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    ours = [i for i, (file, _) in enumerate(passed) if file.startswith(HERE)]
    beyond = passed[ours[-1] + 1 :]
    in_words = len(str(error).split()) >= 4
    return in_words and (THERE in beyond[0][0] if beyond else is_raise(*passed[-1]))


def is_raise(file: str, line: int) -> bool:
    """Whether a `raise` statement covers a line of a file."""
    tree = ast.parse("".join(linecache.getlines(file)))
    raises = [node for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    return any(node.lineno <= line <= node.end_lineno for node in raises)


def is_known(warning: warnings.WarningMessage) -> bool:
    words = str(warning.message)
    if THERE in warning.filename and "invalid value encountered in cast" in words:
        return True  # scikit-learn tries whether numbers given for labels are whole
    return any(
        issubclass(warning.category, kind) and re.search(pattern, words)
        for kind, pattern in WARNINGS
    )


def fingerprint(found: Any) -> bytes:
    """Return every bit of some objects; of sparse matrices without the notes scipy takes."""
    if isinstance(found, tuple):
        return b"".join(map(fingerprint, found))
    if sp.issparse(found):
        return pickle.dumps([vars(found)[name] for name in PARTS if name in vars(found)])
    return pickle.dumps(found)
