"""The undercomplete autoencoder against principal components and a loop in torch."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skbasics import SGD, Adam, Autoencoder

DIGITS = load_digits().data / 16
DIGITS_HALF = DIGITS[::2]


def low_rank(n=1000, seed=0):
    """Return rows of rank three and noise, off centre."""
    rng = np.random.RandomState(seed)
    W = np.linalg.qr(rng.randn(10, 3))[0] * [2.0, 1.5, 1.0]
    return rng.randn(n, 3) @ W.T + 0.3 * rng.randn(n, 10) + rng.randn(10)


def angle(linear, pca):
    """Return the largest angle between what a decoder and components span, in degrees."""
    return np.degrees(subspace_angles(linear.coefs_[-1].T, pca.components_.T).max())


@pytest.mark.parametrize("X", [low_rank(), DIGITS_HALF], ids=["rank 3", "digits"])
def test_without_hidden_layers_it_spans_the_principal_components(X):
    train, test = X[::2], X[1::2]
    linear = Autoencoder(
        3, activation="identity", optimizer=Adam(1e-2), max_iter=300, tol=0, random_state=0
    )
    linear.fit(train)
    pca = PCA(3).fit(train)
    error = np.square(test - linear.reconstruct(test)).sum(1).mean()
    least = np.square(test - pca.inverse_transform(pca.transform(test))).sum(1).mean()
    assert error < 1.03 * least
    assert X is DIGITS_HALF or angle(linear, pca) < 2
    np.testing.assert_allclose(linear.score(test), -error / 2, rtol=1e-12)


@pytest.mark.parametrize("X", [low_rank(300), DIGITS_HALF], ids=["rank 3", "digits"])
def test_the_principal_components_are_the_minimum(X):
    linear = Autoencoder(3, optimizer="lbfgs", max_iter=2000, tol=1e-9, random_state=0)
    linear.fit(X)
    pca = PCA(3).fit(X)
    least = np.square(X - pca.inverse_transform(pca.transform(X))).sum(1).mean() / 2
    np.testing.assert_allclose(linear.loss_, least, rtol=1e-6)
    assert linear.loss_ > least - 1e-12
    assert angle(linear, pca) < 0.1


@pytest.mark.parametrize("loss", ["squared_error", "bernoulli"])
def test_a_fit_is_what_a_loop_in_torch_makes(loss):
    X = DIGITS[:150]
    options = {"activation": "tanh", "loss": loss, "optimizer": "gd", "alpha": 0.1}
    ours = Autoencoder(3, (7, 5), max_iter=1, warm_start=True, random_state=0, **options).fit(X)
    module, rows = ours.to_torch(), torch.from_numpy(X)
    ours.set_params(max_iter=20, tol=0).fit(X)
    weights = [p for name, p in module.named_parameters() if name.endswith("weight")]
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(20):
        out = module(rows)
        if loss == "squared_error":
            error = torch.nn.functional.mse_loss(out, rows, reduction="sum") / 2
        else:
            error = torch.nn.functional.binary_cross_entropy_with_logits(out, rows, reduction="sum")
        objective = (error + 0.05 * sum(w.square().sum() for w in weights)) / len(X)
        optimizer.zero_grad()
        objective.backward()
        optimizer.step()
    np.testing.assert_allclose(ours.loss_, objective.item(), rtol=1e-10)
    for (name, parameter), mine in zip(
        module.named_parameters(),
        [part for pair in zip(ours.coefs_, ours.intercepts_, strict=True) for part in pair],
        strict=True,
    ):
        np.testing.assert_allclose(mine.T, parameter.detach().numpy(), atol=1e-10, err_msg=name)


def test_the_module_is_the_estimator():
    for options in ({}, {"batch_norm": True}, {"loss": "bernoulli"}):
        ours = Autoencoder(3, (7,), max_iter=5, random_state=0, **options).fit(DIGITS[:150])
        module, rows = ours.to_torch(), torch.from_numpy(DIGITS[:150])
        with torch.no_grad():
            codes = module.encoder(rows)
            out = module.decoder(codes)
        out = torch.sigmoid(out) if options.get("loss") else out
        np.testing.assert_allclose(ours.transform(DIGITS[:150]), codes, atol=1e-12)
        np.testing.assert_allclose(ours.inverse_transform(codes.numpy()), out, atol=1e-12)
        np.testing.assert_allclose(ours.reconstruct(DIGITS[:150]), out, atol=1e-12)


def test_a_deep_code_of_digits_is_better_than_as_many_principal_components():
    train, test = DIGITS[:1400], DIGITS[1400:]
    deep = Autoencoder(4, (64,), optimizer=Adam(3e-3), max_iter=100, random_state=0).fit(train)
    pca = PCA(4).fit(train)
    error = np.square(test - deep.reconstruct(test)).sum(1).mean()
    assert error < 0.8 * np.square(test - pca.inverse_transform(pca.transform(test))).sum(1).mean()


def test_the_start_is_the_mean_of_the_rows():
    """With an optimizer that goes nowhere, the decoder's last bias is what is best by itself."""
    still = {"optimizer": SGD(1e-300), "max_iter": 1}
    weights = np.linspace(0, 2, 1797)
    fitted = Autoencoder(2, (5,), **still).fit(DIGITS, sample_weight=weights)
    mean = np.average(DIGITS, axis=0, weights=weights)
    np.testing.assert_allclose(fitted.intercepts_[-1], mean, atol=1e-12)
    fitted = Autoencoder(2, (5,), loss="bernoulli", **still).fit(DIGITS, sample_weight=weights)
    share = (weights.sum() * mean + 0.5) / (weights.sum() + 1)
    np.testing.assert_allclose(1 / (1 + np.exp(-fitted.intercepts_[-1])), share, atol=1e-12)


def test_scores_are_minus_the_losses_of_rows():
    fitted = Autoencoder(3, (7,), loss="bernoulli", max_iter=5, random_state=0).fit(DIGITS)
    p = fitted.reconstruct(DIGITS)
    expected = (DIGITS * np.log(p) + (1 - DIGITS) * np.log(1 - p)).sum(1)
    np.testing.assert_allclose(fitted.score_samples(DIGITS), expected, rtol=1e-9)
    weights = np.arange(1797)
    np.testing.assert_allclose(
        fitted.score(DIGITS, sample_weight=weights), np.average(expected, weights=weights)
    )


def test_a_row_unlike_the_others_scores_low():
    fitted = Autoencoder(8, (64,), max_iter=50, random_state=0).fit(DIGITS[:1500])
    noise = np.random.default_rng(0).permuted(DIGITS[1500:], axis=1)
    usual = np.quantile(fitted.score_samples(DIGITS[1500:]), 0.05)
    assert (fitted.score_samples(noise) < usual).mean() > 0.95
