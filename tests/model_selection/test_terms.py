"""The decompositions against enumeration in exact fractions, their definitions, and themselves."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss as sklearn_log_loss

from skbasics.model_selection._terms import (
    Domingos,
    KohaviWolpert,
    LogLoss,
    SquaredError,
    pure_error,
    standard_errors,
)

ADDS_UP = {"rtol": 0, "atol": 1e-10}


def check_adds_up(decomposition):
    for without in (None, 0, decomposition.n_rounds - 1):
        terms = decomposition.terms(without)
        total = terms["noise"] + terms["bias"] + terms["variance"]
        np.testing.assert_allclose(terms["expected_loss"], total, **ADDS_UP)


def domingos_by_definition(votes, law, optimal):
    """Return E[L], c1 N, B, c2 V of one row as Domingos (2000) writes them, in fractions."""
    k, T = len(law), len(votes)
    P = [Fraction(votes.count(c), T) for c in range(k)]
    main = P.index(max(P))
    wrong_and_right = sum(P[c] * law[c] for c in range(k) if c != optimal)  # f != y*, f = y
    off = 1 - P[optimal]
    # c1 = P(f = y*) - P(f != y*) P(f = y | f != y*, y != y*)
    noise = 1 - law[optimal]
    given = wrong_and_right / (off * noise) if off and noise else Fraction(0)
    c1 = P[optimal] - off * given
    bias = Fraction(main != optimal)
    variance = 1 - P[main]
    c2 = Fraction(1)
    if main != optimal and variance:
        c2 = -P[optimal] / variance  # -P(f = y* | f != m)
    loss = 1 - sum(P[c] * law[c] for c in range(k))
    return loss, c1 * noise, bias, c2 * variance


LAWS = {
    2: [(1, 0), (0, 1), (Fraction(2, 3), Fraction(1, 3))],
    4: [
        (0, 0, 1, 0),
        (Fraction(1, 2), Fraction(1, 4), Fraction(1, 8), Fraction(1, 8)),
        (Fraction(1, 7), Fraction(1, 7), Fraction(1, 7), Fraction(4, 7)),
    ],
}


@pytest.mark.parametrize(("n_classes", "n_rounds"), [(2, 6), (4, 5)])
def test_domingos_is_his_definition_for_every_vote(n_classes, n_rounds):
    every = list(product(range(n_classes), repeat=n_rounds))
    for law in LAWS[n_classes]:
        optimal = int(np.argmax([float(p) for p in law]))
        rows = np.tile(np.array(law, dtype=float), (len(every), 1))
        decomposition = Domingos(np.array(every).T, rows, np.full(len(every), optimal))
        terms = decomposition.terms()
        exact = [domingos_by_definition(votes, law, optimal) for votes in every]
        assert all(loss == noise + bias + variance for loss, noise, bias, variance in exact)
        for i, name in enumerate(("expected_loss", "noise", "bias", "variance")):
            expected = [float(row[i]) for row in exact]
            np.testing.assert_allclose(terms[name], expected, rtol=0, atol=1e-14)
        check_adds_up(decomposition)


def test_biased_rows_of_four_classes_count_only_the_rounds_that_are_right():
    votes = np.array([[0], [0], [0], [1], [2]])  # main prediction 0, truth 1
    terms = Domingos(votes, np.eye(4)[[1]], np.array([1])).terms()
    assert terms["bias"] == 1
    assert terms["variance_biased"] == pytest.approx(0.2)  # not 0.4, the rounds off the main one
    assert terms["variance_unbiased"] == 0
    assert terms["expected_loss"] == pytest.approx(0.8)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_kohavi_wolpert_corrects_for_the_rounds_exactly(n_classes):
    """Averaged over every vote of three rounds, the terms are those of infinitely many."""
    T = 3
    shares = [Fraction(c + 1, n_classes * (n_classes + 1) // 2) for c in range(n_classes)]
    every = list(product(range(n_classes), repeat=T))
    chances = [np.prod([shares[c] for c in votes]) for votes in every]
    law = LAWS[n_classes][-1]
    rows = np.tile(np.array(law, dtype=float), (len(every), 1))
    decomposition = KohaviWolpert(np.array(every).T, rows)
    check_adds_up(decomposition)
    expected = {
        "bias": sum((p - q) ** 2 for p, q in zip(law, shares, strict=True)) / 2,
        "variance": (1 - sum(q**2 for q in shares)) / 2,
        "noise": (1 - sum(p**2 for p in law)) / 2,
        "expected_loss": 1 - sum(p * q for p, q in zip(law, shares, strict=True)),
    }
    for name, values in decomposition.terms().items():
        mean = sum(float(chance) * value for chance, value in zip(chances, values, strict=True))
        assert mean == pytest.approx(float(expected[name]), abs=1e-14)


def test_kohavi_wolpert_corrects_for_the_repeats_exactly():
    law, r = np.array([0.5, 0.3, 0.2]), 3
    votes = np.array([[0], [1], [1], [2]])
    averaged = dict.fromkeys(("bias", "variance", "noise", "expected_loss"), 0.0)
    for labels in product(range(3), repeat=r):
        counted = np.bincount(labels, minlength=3)[None] / r
        decomposition = KohaviWolpert(votes, counted, np.array([r]))
        check_adds_up(decomposition)
        for name, value in decomposition.terms().items():
            averaged[name] += np.prod(law[list(labels)]) * value[0]
    for name, value in KohaviWolpert(votes, law[None]).terms().items():
        assert averaged[name] == pytest.approx(value[0], abs=1e-14)


def test_squared_error_corrects_for_the_rounds_exactly():
    """Averaged over every draw of three rounds, the squared bias and the variance are exact."""
    values, chances = np.array([0.0, 1.0, 5.0]), np.array([0.5, 0.3, 0.2])
    mean = chances @ values
    variance = chances @ (values - mean) ** 2
    y = np.array([[2.5]])
    averaged = dict.fromkeys(("bias", "variance", "expected_loss"), 0.0)
    for drawn in product(range(3), repeat=3):
        decomposition = SquaredError(values[list(drawn)].reshape(3, 1, 1), y)
        check_adds_up(decomposition)
        terms = decomposition.terms()
        for name in averaged:
            averaged[name] += np.prod(chances[list(drawn)]) * terms[name][0]
    assert averaged["bias"] == pytest.approx((mean - 2.5) ** 2, abs=1e-13)
    assert averaged["variance"] == pytest.approx(variance, abs=1e-13)
    assert averaged["expected_loss"] == pytest.approx((mean - 2.5) ** 2 + variance, abs=1e-13)


def test_squared_error_far_from_zero_keeps_its_digits(generator):
    small = generator.normal(size=(5, 8, 2))
    y = generator.normal(size=(8, 2))
    near, far = SquaredError(small, y).terms(), SquaredError(small + 2.0**27, y + 2.0**27).terms()
    for name, values in near.items():
        np.testing.assert_allclose(far[name], values, rtol=1e-6, atol=1e-7)


def test_the_loss_against_a_new_y_leaves_only_the_cross_term_out(generator):
    predictions = generator.normal(size=(6, 9, 2))
    truth = generator.normal(size=(9, 2))
    y = truth + generator.normal(size=(9, 2))
    decomposition = SquaredError(predictions, y, truth)
    check_adds_up(decomposition)
    terms = decomposition.terms()
    np.testing.assert_allclose(terms["noise"], ((y - truth) ** 2).mean(axis=1))
    observed = ((predictions - y) ** 2).mean(axis=(0, 2))
    cross = 2 * ((y - truth) * (truth - predictions.mean(axis=0))).mean(axis=1)
    np.testing.assert_allclose(terms["expected_loss"], observed - cross, **ADDS_UP)
    error = ((y - truth) ** 2).mean(axis=1).std(ddof=1) / 3
    assert standard_errors(decomposition)["noise"] == pytest.approx(error)


def test_repeats_of_squared_error_are_the_pure_error(generator):
    places = np.array([0, 1, 1, 2, 2, 2, 0, 3])
    y = generator.normal(size=(8, 1))
    predictions = generator.normal(size=(5, 4, 1))[:, places]
    noise, error = pure_error(y, places)
    groups = [y[places == g, 0] for g in range(4)]
    squares = [((group - group.mean()) ** 2).sum() for group in groups]
    assert noise[0] == pytest.approx(sum(squares) / 4)
    apart = [s - noise[0] * (len(g) - 1) for s, g in zip(squares[:3], groups, strict=False)]
    assert error == pytest.approx(np.sqrt(1.5 * np.square(apart).sum()) / 4)
    decomposition = SquaredError(predictions, y, None, places)
    check_adds_up(decomposition)
    terms = decomposition.terms()
    assert terms["expected_loss"].mean() == pytest.approx(((predictions - y) ** 2).mean())
    for values in terms.values():
        assert values[1] == values[2]
        assert values[3] == values[4] == values[5]
    one_place = pure_error(y, np.zeros(8, dtype=int))
    assert one_place[0][0] == pytest.approx(y.var(ddof=1))
    assert one_place[1] == pytest.approx(y.var(ddof=1) * np.sqrt(2 / 7))


def test_repeats_take_the_noise_out_of_the_bias_exactly():
    """Over every y of a place, squared bias and noise are those of the law on average."""
    law, r = np.array([0.0, 1.0, 4.0]), 3
    predictions = np.array([1.0, 3.0]).reshape(2, 1, 1).repeat(r, axis=1)
    means = {"noise": 0.0, "bias": 0.0}
    for drawn in product(law, repeat=r):
        terms = SquaredError(
            predictions, np.array(drawn)[:, None], None, np.zeros(r, dtype=int)
        ).terms()
        for name in means:
            means[name] += terms[name].mean() / 3**r
    assert means["noise"] == pytest.approx(law.var())
    assert means["bias"] == pytest.approx((2 - law.mean()) ** 2 - 2 / 2)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_log_loss_is_divergences_from_the_geometric_mean(generator, n_classes):
    logarithms = np.log(softmax(generator.normal(size=(7, 10, n_classes)), axis=2))
    law = generator.dirichlet(np.ones(n_classes), 10)
    decomposition = LogLoss(logarithms, law)
    check_adds_up(decomposition)
    terms = decomposition.terms()
    main = softmax(logarithms.mean(axis=0), axis=1)
    np.testing.assert_allclose(decomposition.main_prediction(), main)
    np.testing.assert_allclose(terms["noise"], -(law * np.log(law)).sum(axis=1))
    np.testing.assert_allclose(terms["bias"], (law * np.log(law / main)).sum(axis=1))
    divergences = (main * (np.log(main) - logarithms)).sum(axis=2)
    np.testing.assert_allclose(terms["variance"], divergences.mean(axis=0), atol=1e-14)
    codes = generator.integers(n_classes, size=10)
    seen = LogLoss(logarithms, np.eye(n_classes)[codes])
    check_adds_up(seen)
    losses = [
        sklearn_log_loss(codes, np.exp(each), labels=np.arange(n_classes)) for each in logarithms
    ]
    assert seen.terms()["expected_loss"].mean() == pytest.approx(np.mean(losses), abs=1e-12)
    assert (seen.terms()["noise"] == 0).all()


def decompositions(generator, rounds):
    """Yield each decomposition of the rounds asked for, out of the same seven."""
    numbers = generator.normal(size=(7, 12, 2))
    y = generator.normal(size=(12, 2))
    votes = generator.integers(4, size=(7, 12))
    law = generator.dirichlet(np.ones(4), 12)
    logarithms = np.log(softmax(generator.normal(size=(7, 12, 4)), axis=2))
    yield SquaredError(numbers[rounds], y)
    yield SquaredError(numbers[rounds], y, y + 1)
    yield SquaredError(numbers[rounds], y, None, np.arange(12) // 3)
    yield Domingos(votes[rounds], law, law.argmax(axis=1))
    yield KohaviWolpert(votes[rounds], law, np.full(12, 3))
    yield LogLoss(logarithms[rounds], law)


def test_leaving_a_round_out_is_the_decomposition_of_the_others():
    for t in (0, 4, 6):
        rest = [i for i in range(7) if i != t]
        whole = decompositions(np.random.default_rng(3), list(range(7)))
        fewer = decompositions(np.random.default_rng(3), rest)
        for one, other in zip(whole, fewer, strict=True):
            expected = other.terms()
            for name, values in one.terms(without=t).items():
                np.testing.assert_allclose(values, expected[name], rtol=1e-11, atol=1e-13)


def test_the_jackknife_of_a_mean_is_its_standard_error(generator):
    predictions, y = generator.normal(size=(9, 5, 1)), generator.normal(size=(5, 1))
    errors = standard_errors(SquaredError(predictions, y))
    losses = ((predictions - y) ** 2).mean(axis=(1, 2))
    assert errors["expected_loss"] == pytest.approx(losses.std(ddof=1) / 3)
    assert errors["noise"] == 0
    assert np.isnan(standard_errors(SquaredError(predictions[:2], y))["variance"])


def test_standard_errors_are_those_of_repeated_experiments():
    """The jackknife against the scatter of 400 experiments."""
    generator = np.random.default_rng(0)
    y, found, told = np.full((4, 1), 0.7), [], []
    for _ in range(400):
        decomposition = SquaredError(generator.normal(size=(30, 4, 1)), y)
        found.append([v.mean() for v in decomposition.terms().values()])
        told.append([*standard_errors(decomposition).values()])
    scatter, errors = np.std(found, axis=0)[:3], np.mean(told, axis=0)[:3]
    np.testing.assert_allclose(errors, scatter, rtol=0.1)


@pytest.fixture
def generator():
    return np.random.default_rng(0)
