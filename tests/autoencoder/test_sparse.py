"""The codes of the sparse autoencoder are sparse, and it says when units are dead."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from skbasics import SGD, Adam, SparseAutoencoder

DIGITS = load_digits().data / 16
TRAIN, TEST = DIGITS[:1400], DIGITS[1400:]
QUICK = {"optimizer": Adam(3e-3), "max_iter": 60, "random_state": 0}


@pytest.mark.parametrize("n_active", [1, 5, None])
def test_exactly_k_units_of_every_row_are_active(n_active):
    fitted = SparseAutoencoder(100, sparsity="topk", n_active=n_active, **QUICK).fit(TRAIN)
    counts = (fitted.transform(TEST) > 0).sum(1)
    assert (counts == (n_active or 5)).all()  # a twentieth of a hundred
    np.testing.assert_allclose(fitted.activation_rate_.sum(), n_active or 5, rtol=1e-12)


@pytest.mark.parametrize("target", [0.03, 0.05, 0.1])
def test_logistic_units_keep_to_their_mean_activation(target):
    fitted = SparseAutoencoder(64, target_activation=target, sparsity_weight=1.0, **QUICK)
    fitted.fit(TRAIN)
    rates = fitted.transform(TEST).mean(0)
    assert 0.5 * target < rates.mean() < 1.5 * target
    assert np.median(np.abs(rates - target)) < 0.5 * target
    peaks = fitted.transform(TEST).max(0)
    assert np.median(peaks) > 3 * target  # it is by rows that units are on or off


def test_the_default_keeps_to_its_target():
    fitted = SparseAutoencoder(random_state=0).fit(TRAIN)
    assert 0.025 < fitted.transform(TEST).mean() < 0.075


def test_the_price_of_size_makes_codes_sparser_the_higher_it_is():
    weights = (0.0, 0.03, 0.1, 0.3, 1.0)
    fits = [SparseAutoencoder(sparsity="l1", sparsity_weight=w, **QUICK) for w in weights]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        codes = [fit.fit(TRAIN).transform(TEST) for fit in fits]
    shares = [(code > 0).mean() for code in codes]
    sizes = [code.sum(1).mean() for code in codes]
    assert shares == sorted(shares, reverse=True)
    assert sizes == sorted(sizes, reverse=True)
    assert shares[-1] < 0.1 * shares[0]
    errors = [-fit.score(TEST) for fit in fits]
    assert errors == sorted(errors)


def test_the_price_cannot_be_evaded_by_long_columns():
    fitted = SparseAutoencoder(sparsity="l1", hidden_layer_sizes=(20,), **QUICK).fit(TRAIN)
    columns = fitted.coefs_[2]  # from the code, (fan_in, fan_out)
    np.testing.assert_allclose(np.linalg.norm(columns, axis=1), 1, rtol=1e-12)
    module = fitted.to_torch()
    np.testing.assert_allclose(module.decoder[0].weight.detach().numpy(), columns.T, rtol=1e-12)
    with torch.no_grad():
        out = module(torch.from_numpy(TEST))
    np.testing.assert_allclose(out, fitted.reconstruct(TEST), atol=1e-12)


def test_rates_are_those_of_the_rows_and_their_weights():
    weights = np.linspace(0, 3, len(TRAIN))
    for sparsity in ("kl", "l1", "topk"):
        fitted = SparseAutoencoder(sparsity=sparsity, **QUICK).fit(TRAIN, sample_weight=weights)
        code = fitted.transform(TRAIN)
        active = code if sparsity == "kl" else code > 0
        rates = np.average(active, axis=0, weights=weights)
        np.testing.assert_allclose(fitted.activation_rate_, rates, atol=1e-12)


def test_dead_units_are_told_once_with_the_parameter_to_try():
    X = np.hstack([TRAIN, np.ones((1400, 1))])
    with pytest.warns(ConvergenceWarning, match=r"Lower sparsity_weight, or take") as caught:
        fitted = SparseAutoencoder(sparsity="l1", sparsity_weight=3.0, **QUICK).fit(X)
    told = [str(w.message) for w in caught if "dead" in str(w.message)]
    assert len(told) == 1
    dead = np.flatnonzero(fitted.transform(X).max(0) == 0)
    np.testing.assert_array_equal(fitted.dead_units_, dead)
    assert len(dead) > 6
    assert told[0].startswith(f"SparseAutoencoder: {len(dead)} of 64 units are dead")
    still = {"optimizer": SGD(1e-300), "max_iter": 1}
    with pytest.warns(ConvergenceWarning, match="sparsity_weight, or raise target_activation"):
        same = SparseAutoencoder(4, **still).fit(np.ones((10, 3)))
    np.testing.assert_array_equal(same.dead_units_, range(4))
    with pytest.warns(ConvergenceWarning, match="Raise n_active, or take fewer"):
        SparseAutoencoder(9, sparsity="topk", n_active=1, **still).fit(np.ones((10, 3)))


def test_nothing_is_said_of_units_that_live():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = SparseAutoencoder(sparsity="l1", **QUICK).fit(TRAIN)
        for sparsity in ("kl", "l1", "topk"):  # nor of a stream, whose rows are few
            SparseAutoencoder(sparsity=sparsity, random_state=0).partial_fit(TRAIN[:1])
    assert len(fitted.dead_units_) <= 6
    assert not [w for w in caught if "dead" in str(w.message)]


def test_history_has_the_price():
    fitted = SparseAutoencoder(sparsity="l1", alpha=0.0, **QUICK).fit(TRAIN)
    history = fitted.history_
    total = history["reconstruction_loss"] + history["sparsity"]
    np.testing.assert_allclose(total, history["loss"], rtol=1e-12)
    assert (history["sparsity"] > 0).all()


def test_newton_takes_rectified_codes_in_float32():
    """Units that are off on all rows leave rows of zeros in the Hessian."""
    X = np.random.RandomState(0).standard_normal((30, 3)).astype(np.float32)
    fitted = SparseAutoencoder(12, sparsity="l1", optimizer="newton", max_iter=20, random_state=0)
    assert np.isfinite(fitted.fit(X).loss_curve_).all()
    assert fitted.loss_curve_[-1] < 0.9 * fitted.loss_curve_[0]


def test_more_active_units_than_units():
    with pytest.raises(ValueError, match=r"n_active=9 units cannot be active of n_components=8"):
        SparseAutoencoder(8, sparsity="topk", n_active=9).fit(TRAIN)
