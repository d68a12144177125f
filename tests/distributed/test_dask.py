"""Fits on blocks and searches on a Dask cluster, one for all tests."""

import functools
import os

import dask
import dask.array
import dask.dataframe
import numpy as np
import pandas
import pytest
import sklearn.model_selection
from dask.distributed import Client, KilledWorker
from distributed.utils import get_mp_context
from joblib import parallel_config

import skbasics
from skbasics import PCA, CorrespondenceAnalysis, MLPClassifier, OnlineMeanVar, fit_blocks

pytestmark = pytest.mark.xdist_group("dask")  # one cluster for all of them

X = np.random.default_rng(0).gamma(4.0, size=(600, 4))
BLOCKS = np.array_split(X, 11)
EACH = pytest.mark.parametrize(
    ("estimator", "reading"),
    [
        (OnlineMeanVar(with_covariance=True), "covariance_"),
        (PCA(), "components_"),
        (CorrespondenceAnalysis(), "eigenvalues_"),
    ],
    ids=["OnlineMeanVar", "PCA", "CorrespondenceAnalysis"],
)


@pytest.fixture(scope="module")
def client():
    # The workers are forks of one process that has imported everything.
    method = {"distributed.worker.multiprocessing-method": "forkserver"}
    with dask.config.set(method):
        loaded = ["distributed", "skbasics.distributed", "skbasics.stats"]
        get_mp_context().set_forkserver_preload(
            [*loaded, "skbasics.decomposition", "skbasics.neural_network"]
        )
        with Client(n_workers=2, threads_per_worker=1, dashboard_address=":0") as client:
            yield client


@pytest.fixture(autouse=True)
def cluster(client):
    client.wait_for_workers(2, timeout=120)
    with parallel_config(backend="dask"):
        yield client


def assert_whole(fitted, estimator, reading):
    expected = getattr(estimator.fit(X), reading)
    np.testing.assert_allclose(getattr(fitted, reading), expected, rtol=1e-10, atol=1e-10)


@EACH
def test_blocks_on_a_cluster_are_one_pass(cluster, estimator, reading):
    array = dask.array.from_array(X, chunks=(90, 4))
    frame = dask.array.from_array(X, chunks=(90, 4)).to_delayed().ravel()
    loaders = [functools.partial(np.array, block) for block in BLOCKS]
    for blocks in (
        BLOCKS,
        iter(loaders),
        array,
        array.persist(),
        cluster.scatter(BLOCKS, hash=False),
        frame,
    ):
        assert_whole(fit_blocks(estimator, blocks), estimator, reading)


def test_dask_objects_need_no_backend_of_dask(cluster):
    array = dask.array.from_array(X, chunks=(90, 4))
    weights = dask.array.from_array(np.arange(600.0), chunks=90)
    parts = zip(array.to_delayed().ravel(), weights.to_delayed(), strict=True)
    pairs = [(rows, None, w) for rows, w in parts]
    frame = dask.dataframe.from_pandas(pandas.DataFrame(X, columns=list("abcd")), npartitions=3)
    with parallel_config(backend="threading", n_jobs=2):
        assert_whole(fit_blocks(PCA(), array), PCA(), "components_")
        assert_whole(fit_blocks(PCA(), frame), PCA(), "components_")
        weighed = fit_blocks(PCA(), pairs)
        futures = cluster.scatter([(block, None, None) for block in BLOCKS[:5]])
        futures += cluster.scatter(BLOCKS[5:])
        assert_whole(fit_blocks(PCA(), futures), PCA(), "components_")
        mixed = [(future, None, None) for future in futures[5:]]
        assert fit_blocks(PCA(), mixed).n_samples_ == 600 - sum(map(len, BLOCKS[:5]))
    expected = PCA().fit(X, sample_weight=np.arange(600.0))
    np.testing.assert_allclose(weighed.components_, expected.components_, rtol=1e-10)
    assert list(fit_blocks(PCA(), frame).feature_names_in_) == list("abcd")
    with pytest.raises(ValueError, match=r"rows of blocks are cut.*rechunk\(\{1: -1\}\)"):
        fit_blocks(PCA(), array.rechunk((90, 2)))


def test_one_object_of_dask_is_no_iterable_of_blocks():
    with pytest.raises(TypeError, match=r"one object of Dask.*Give it in a list, \[blocks\]"):
        fit_blocks(PCA(), dask.delayed(np.array)(X))
    assert_whole(fit_blocks(PCA(), [dask.delayed(np.array)(X)]), PCA(), "components_")


@pytest.mark.parametrize("module", [sklearn.model_selection, skbasics], ids=["sklearn", "ours"])
def test_a_search_on_a_cluster_is_the_search(module):
    y = np.arange(60) % 3
    grid = {"alpha": [1e-4, 1.0], "activation": ["tanh", "relu"]}
    network = MLPClassifier((5,), max_iter=4, random_state=0)
    far = module.GridSearchCV(network, grid, cv=2).fit(X[:60], y)
    with parallel_config(backend="sequential"):
        near = module.GridSearchCV(network, grid, cv=2).fit(X[:60], y)
    scores = [name for name in near.cv_results_ if name.endswith("_test_score")]
    assert len(scores) == 5
    for name in scores:
        np.testing.assert_array_equal(far.cv_results_[name], near.cv_results_[name])
    np.testing.assert_array_equal(far.predict_proba(X), near.predict_proba(X))


def die(block, until, client):
    """Return a block, after as many workers as that have died of it."""
    assert os.getpid() != client
    deaths = len(list(until.iterdir()))
    if deaths < int(until.name):
        (until / str(deaths)).touch()
        os._exit(3)
    return block


@EACH
def test_a_block_whose_worker_dies_is_computed_elsewhere(tmp_path, estimator, reading):
    (until := tmp_path / "1").mkdir()
    blocks = [*BLOCKS[:5], functools.partial(die, BLOCKS[5], until, os.getpid()), *BLOCKS[6:]]
    assert_whole(fit_blocks(estimator, blocks), estimator, reading)
    assert len(list(until.iterdir())) == 1


def test_a_block_that_kills_every_worker_is_an_error(tmp_path):
    (until := tmp_path / "99").mkdir()
    blocks = [*BLOCKS[:5], functools.partial(die, BLOCKS[5], until, os.getpid()), *BLOCKS[6:]]
    with pytest.raises(KilledWorker, match="4 different workers"):
        fit_blocks(PCA(), blocks)
    assert len(list(until.iterdir())) == 4
