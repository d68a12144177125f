"""What each of three processes does under torchrun; the tests look at what they write."""

import copy
import itertools
import os
import pickle
import re
import sys
import threading
import time
import warnings
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import scipy.sparse as sp
import torch.distributed as dist
from sklearn.base import clone

from skbasics import PCA, SGD, Adam, ConvNetRegressor, MLPClassifier, MLPRegressor
from skbasics._averages import Averages
from skbasics.distributed import data_parallel
from tests.distributed.cases import CASES, HALVES

ROOT = Path(__file__).parents[2]
ROWS = np.random.RandomState(0).normal(size=(30, 4))
TARGET = ROWS @ [1.0, -1.0, 0.5, 0.0]
REGRESSOR = MLPRegressor((5,), batch_size=8, max_iter=3, random_state=0)


def fit_cases(rank, pair):
    """Fit every case by the ranks that it has rows for."""
    fitted = {}
    for case in CASES:
        if rank >= len(case.sizes):
            continue
        with data_parallel(pair if case.sizes == HALVES else None):
            fitted[case.name] = clone(case.estimator).fit(**case.part(rank))
    return fitted


def fit_seeds(rank):
    """Fit with seeds that the ranks do not share."""
    seeds = {"none": None, "generators": np.random.RandomState(rank)}
    mine = slice(10 * rank, 10 * rank + 10)
    with data_parallel():
        return {
            name: clone(REGRESSOR).set_params(random_state=seed).fit(ROWS[mine], TARGET[mine])
            for name, seed in seeds.items()
        }


DECISIVE = ((Averages, "values"), (MLPRegressor, "_default_score"))


def another(result, rank):
    """Return a function as it is on the first rank; on others its results fall, call by call."""
    calls = itertools.count()

    def other(*args):
        return np.subtract(result(*args), 1e3 * rank * next(calls)).tolist()

    return other


def fit_rounding(rank, ranks):
    """Fit where each rank rounds losses or scores in a way of its own, and widely."""
    group = dist.new_group(ranks, timeout=timedelta(seconds=10))
    fitted, hasty = {}, clone(REGRESSOR).set_params(max_iter=6, n_iter_no_change=1)
    for owner, name in DECISIVE:
        model = clone(hasty).set_params(early_stopping=owner is MLPRegressor)
        other = another(getattr(owner, name), rank)
        with data_parallel(group), patch.object(owner, name, other):
            fitted[name] = model.fit(ROWS[10 * rank : 10 * rank + 10], TARGET[10 * rank :][:10])
    return fitted


def with_names(X):
    import pandas as pd  # one rank alone needs the time

    return pd.DataFrame(X, columns=list("abcd"))


def disagreements(rank):
    """Return fits that cannot begin, or cannot end, by the estimator and what `fit` is given."""
    X, y = ROWS[10 * rank : 10 * rank + 10].copy(), TARGET[10 * rank : 10 * rank + 10]
    with_nan, images = X.copy(), ConvNetRegressor(hidden_layer_sizes=(3,), max_iter=1)
    with_nan[0, 0] = np.nan
    odd = rank == 1
    alike = MLPClassifier((5,), max_iter=1, alpha=0.1, class_weight={0: 1, 1: 2.0}, random_state=0)
    if odd:
        numbers = {"alpha": np.float64(0.1), "hidden_layer_sizes": [np.int64(5)]}
        numbers |= {"class_weight": {np.int64(1): 2, 0: 1.0}, "random_state": np.int32(0)}
        alike.set_params(**numbers)
    warm = clone(REGRESSOR).set_params(warm_start=True)
    fast = clone(REGRESSOR).set_params(optimizer=SGD(1e200))
    return {
        "nan": (REGRESSOR, {"X": with_nan if odd else X, "y": y}),
        "width": (REGRESSOR, {"X": X[:, :3] if odd else X, "y": y}),
        "dtype": (REGRESSOR, {"X": X.astype("float32") if odd else X, "y": y}),
        "names": (REGRESSOR, {"X": with_names(X) if odd else X, "y": y}),
        "columns of y": (REGRESSOR, {"X": X, "y": X[:, :2] if odd else y}),
        "kind of y": (
            MLPClassifier(max_iter=1),
            {"X": X, "y": np.where(X[:, 0] > 0, *(("a", "b") if odd else (0, 1)))},
        ),
        "parameters": (clone(REGRESSOR).set_params(alpha=0.5 if odd else 0.1), {"X": X, "y": y}),
        "class": (MLPClassifier() if odd else REGRESSOR, {"X": X, "y": y > 0}),
        "weights": (REGRESSOR, {"X": X, "y": y, "sample_weight": -y if odd else None}),
        "validation": (REGRESSOR, {"X": X, "y": y} | ({"X_val": X, "y_val": y} if odd else {})),
        "validation data": (
            REGRESSOR,
            {"X": X, "y": y, "X_val": with_nan if odd else X, "y_val": y},
        ),
        "image shape": (images, {"X": X.reshape(-1, 4, 1) if odd else X.reshape(-1, 2, 2), "y": y}),
        "empty": (REGRESSOR, {"X": X[:0] if odd else X, "y": y[:0] if odd else y}),
        "device": (clone(REGRESSOR).set_params(device="moon" if odd else None), {"X": X, "y": y}),
        "invalid": (clone(REGRESSOR).set_params(tol=-1 if odd else 0), {"X": X, "y": y}),
        "sparse": (REGRESSOR, {"X": sp.csr_matrix(X) if odd else X, "y": y}),
        "lbfgs": (
            clone(REGRESSOR).set_params(optimizer="lbfgs" if odd else "adam"),
            {"X": X, "y": y},
        ),
        "warm start": (warm.fit(X, y) if odd else warm, {"X": X, "y": y}),
        "other estimators": (PCA() if odd else REGRESSOR, {"X": X, "y": y}),
        "seeds": (clone(REGRESSOR).set_params(random_state=np.int64(3 + odd)), {"X": X, "y": y}),
        "alike": (alike, {"X": X, "y": y > 0}),
        "divergence": (fast, {"X": X, "y": y}),
        "none": (REGRESSOR, {"X": X, "y": y}),
    }


def outcome(fit):
    """Return what a fit raises, in words, and after how many seconds."""
    start = time.perf_counter()
    try:
        fit()
    except Exception as error:
        return type(error).__name__, str(error), time.perf_counter() - start
    return None


def fail_disagreeing(rank):
    """Return the outcomes of fits that fail."""
    outcomes, given_by_name = {}, disagreements(rank)
    with data_parallel():
        for name, (estimator, given) in given_by_name.items():
            model = copy.copy(estimator)
            outcomes[name] = outcome(lambda model=model, given=given: model.fit(**given))
            if outcomes[name]:
                assert vars(model).keys() == vars(estimator).keys(), f"{name} left a trace"
    return outcomes


def fit_alone(rank):
    """Fit on the first rank alone: in a thread, and after the context."""
    if rank > 0:
        return None
    models = [clone(REGRESSOR), clone(REGRESSOR)]
    with data_parallel():
        thread = threading.Thread(target=models[0].fit, args=(ROWS, TARGET))
        thread.start()
        thread.join()
    return [models[0], models[1].fit(ROWS, TARGET)]


def run_the_guide():
    """Run the program of the user's guide, in the processes that there are."""
    texts = [path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))]
    (program,) = re.findall(r"^```py\n(# train\.py\n.*?)^```", "\n".join(texts), re.M | re.S)
    names = {}
    with patch.object(dist, "init_process_group"), patch.object(dist, "destroy_process_group"):
        exec(program, names)
    return names["accuracy"]


def failing(at, fail):
    """Return a patch by which Adam fails in its step number `at`."""
    update, steps = Adam.update, []

    def failing_update(self, *args):
        steps.append(args)
        if len(steps) == at:
            fail()
        update(self, *args)

    return patch.object(Adam, "update", failing_update)


def run_out_of_memory():
    raise MemoryError("no memory is left")


def failing_before_validation(fail):
    """Return a patch by which fits fail when the ranks have agreed, and before they do so again."""
    return patch.object(MLPRegressor, "_start", lambda *_: fail())


def fail_in_the_midst(rank, ranks, place):
    """Let rank 1 fail alone, and try again in the same context and a new one."""
    group = dist.new_group(ranks, timeout=timedelta(minutes=30))
    model, fault = clone(REGRESSOR), PLACES[place](run_out_of_memory)
    given = {"X": ROWS, "y": TARGET, "X_val": ROWS[:5], "y_val": TARGET[:5]}
    with data_parallel(group), fault if rank == 1 else nullcontext():
        outcomes = [outcome(lambda: model.fit(**given)) for _ in range(2)]
    with data_parallel(group):
        outcomes.append(outcome(lambda: model.fit(**given)))
    return *outcomes, vars(model) == vars(clone(model))


def sleep_in_the_midst(rank, ranks):
    """Let rank 1 sleep for longer than the others wait."""
    group = dist.new_group(ranks, timeout=timedelta(seconds=3))
    asleep = failing(5 if rank == 1 else -1, lambda: time.sleep(6))
    with data_parallel(group), asleep:
        return outcome(lambda: clone(REGRESSOR).fit(ROWS, TARGET))


PLACES = {"a step": partial(failing, 5), "before validation": failing_before_validation}


def main(folder):
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", timeout=timedelta(seconds=30))
    rank = dist.get_rank()
    pair = dist.new_group([0, 1], timeout=timedelta(seconds=30))
    found = {"cases": fit_cases(rank, pair), "seeds": fit_seeds(rank)}
    found["rounding"] = fit_rounding(rank, [0, 1, 2])
    found["disagreements"] = fail_disagreeing(rank)
    found["outside"] = outcome(lambda: data_parallel(pair).__enter__()) if rank == 2 else None
    found["alone"] = fit_alone(rank)
    found["guide"] = run_the_guide()
    found["midst"] = {place: fail_in_the_midst(rank, [0, 1, 2], place) for place in PLACES}
    found["sleep"] = sleep_in_the_midst(rank, [0, 1, 2])
    save(folder, rank, found)
    with data_parallel(), failing(5 if rank == 2 else -1, lambda: os._exit(0)):
        found["death"] = outcome(lambda: clone(REGRESSOR).fit(ROWS, TARGET))
    save(folder, rank, found)


def save(folder, rank, found):
    (Path(folder) / f"{rank}.pickle").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
