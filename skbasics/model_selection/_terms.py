"""The mathematics: what T predictions of each row say of bias, variance and noise.

A class for each decomposition. ``terms()`` gives every term row by row; ``terms(without=t)`` gives
them as if round t had not been, which is all that the jackknife needs.
"""

from typing import Any

import numpy as np
from scipy.special import entr, logsumexp

Terms = dict[str, np.ndarray]


class SquaredError:
    r"""Squared error, averaged over outputs.

    With the mean prediction m and s^2 the variance over T rounds (divisor T - 1)

    .. math:: \frac1T \sum_t (f_t - z)^2 = \left[(m - z)^2 - \frac{s^2}{T}\right] + s^2

    where z is the true value if that is known, else y. The bracket estimates the squared bias
    without bias of its own: m is itself off by s^2 / T on average.

    Parameters
    ----------
    predictions : ndarray of shape (n_rounds, n, n_outputs)
    y : ndarray of shape (n, n_outputs)
    truth : ndarray of shape (n, n_outputs) or None
        True values f(x). The noise is then (y - f)^2, and the loss that of a new y at the same row:
        the cross term 2 (y - f)(f - m), zero on average, is left out.
    places : ndarray of int of shape (n,) or None
        Rows of equal number are repeats: their y have one mean, and the scatter about it is noise.
    """

    def __init__(
        self,
        predictions: np.ndarray,
        y: np.ndarray,
        truth: np.ndarray | None = None,
        places: np.ndarray | None = None,
    ) -> None:
        self.n_rounds = len(predictions)
        self._target = y if truth is None else truth
        apart = predictions - predictions[0]  # rounds that agree have variance zero, exactly
        self._mean = predictions[0] + apart.mean(axis=0)
        self._deviations = apart - apart.mean(axis=0)
        self._squares = (self._deviations**2).sum(axis=0)
        self._losses = ((predictions - self._target) ** 2).sum(axis=0)
        self._places = None if truth is not None else places
        self._noise_from_truth = 0.0 if truth is None else (y - truth) ** 2
        self._pure_error, self.noise_error = 0.0, None
        if truth is not None:
            self.noise_error = _error_over_rows(self._noise_from_truth.mean(axis=1))
        elif places is not None:
            self._pure_error, self.noise_error = pure_error(y, places)

    def terms(self, without: int | None = None) -> Terms:
        """Return every term, row by row."""
        T, mean, squares, losses = self.n_rounds, self._mean, self._squares, self._losses
        if without is not None:
            deviation = self._deviations[without]
            losses = losses - (mean + deviation - self._target) ** 2
            squares = np.maximum(squares - deviation**2 * (T / (T - 1)), 0)
            mean = mean - deviation / (T - 1)
            T -= 1
        variance = squares / (T - 1)
        bias = (mean - self._target) ** 2 - variance / T - self._pure_error
        noise = self._pure_error + self._noise_from_truth + np.zeros_like(bias)
        terms = {
            "expected_loss": losses / T + self._noise_from_truth,
            "bias": bias,
            "variance": variance,
            "noise": noise,
        }
        return {name: self._by_place(values.mean(axis=1)) for name, values in terms.items()}

    def main_prediction(self) -> np.ndarray:
        """Return the mean over rounds."""
        return self._mean

    def _by_place(self, values: np.ndarray) -> np.ndarray:
        if self._places is None:
            return values
        return (np.bincount(self._places, values) / np.bincount(self._places))[self._places]


class Domingos:
    r"""0-1 loss after Domingos (2000), for any number of classes.

    With the main prediction m (the most frequent one, the first of a tie), the optimal label y* and
    P over rounds, the loss against y* is

    .. math:: P(f \ne y^*) = B + (1 - B) P(f \ne m) - B P(f = y^*), \qquad B = [m \ne y^*]

    and what the law p of y at the row adds to it is

    .. math:: P(f \ne y) - P(f \ne y^*) = P(f = y^*) - \sum_c p(c) P(f = c)

    Parameters
    ----------
    votes : ndarray of int of shape (n_rounds, n)
        Class numbers.
    law : ndarray of shape (n, n_classes)
        The law of y at each row, as far as it is known: 0 and 1 for one observed y.
    optimal : ndarray of int of shape (n,)
        The class to predict.
    """

    noise_error = None

    def __init__(self, votes: np.ndarray, law: np.ndarray, optimal: np.ndarray) -> None:
        self.n_rounds = len(votes)
        self._votes, self._law, self._optimal = votes, law, optimal
        self._counts = count(votes, law.shape[1])

    def terms(self, without: int | None = None) -> Terms:
        """Return every term, row by row."""
        share = shares(self._counts, self._votes, without)
        rows = np.arange(len(share))
        main = share.argmax(axis=1)
        biased = main != self._optimal
        right = share[rows, self._optimal]
        observed = (share * self._law).sum(axis=1)
        unbiased_part = np.where(biased, 0.0, 1 - share[rows, main])
        biased_part = np.where(biased, right, 0.0)
        return {
            "expected_loss": 1 - observed,
            "bias": biased.astype(float),
            "variance": unbiased_part - biased_part,
            "noise": right - observed,
            "variance_unbiased": unbiased_part,
            "variance_biased": biased_part,
        }

    def main_prediction(self) -> np.ndarray:
        """Return the most frequent class number."""
        return self._counts.argmax(axis=1)


class KohaviWolpert:
    r"""0-1 loss after Kohavi and Wolpert (1996): squared error between two laws, halved.

    With the law p of y and the shares q of the T rounds' predictions

    .. math:: 1 - \sum_c p_c q_c = \tfrac12 \sum_c (p_c - q_c)^2
        + \tfrac12 \Big(1 - \sum_c q_c^2\Big) + \tfrac12 \Big(1 - \sum_c p_c^2\Big)

    The variance is multiplied by T / (T - 1), and what that adds is taken off the squared bias; so
    is the noise by r / (r - 1) where p are the shares among r repeats.

    Parameters
    ----------
    votes : ndarray of int of shape (n_rounds, n)
        Class numbers.
    law : ndarray of shape (n, n_classes)
        The law of y at each row.
    repeats : ndarray of shape (n,) or None
        The number of y of which each row's law are the shares; None where the law is known.
    """

    noise_error = None

    def __init__(
        self, votes: np.ndarray, law: np.ndarray, repeats: np.ndarray | None = None
    ) -> None:
        self.n_rounds = len(votes)
        self._votes, self._law = votes, law
        self._counts = count(votes, law.shape[1])
        self._noise = (1 - (law**2).sum(axis=1)) / 2
        self._excess = np.zeros(len(law))
        if repeats is not None:
            self._excess = self._noise / np.maximum(repeats - 1, 1)  # of one y alone it is zero
            self._noise = self._noise + self._excess

    def terms(self, without: int | None = None) -> Terms:
        """Return every term, row by row."""
        T = self.n_rounds - (without is not None)
        share = shares(self._counts, self._votes, without)
        plain = (1 - (share**2).sum(axis=1)) / 2
        distance = ((self._law - share) ** 2).sum(axis=1) / 2
        return {
            "expected_loss": 1 - (share * self._law).sum(axis=1),
            "bias": distance - plain / (T - 1) - self._excess,
            "variance": plain * (T / (T - 1)),
            "noise": self._noise,
        }

    def main_prediction(self) -> np.ndarray:
        """Return the most frequent class number."""
        return self._counts.argmax(axis=1)


class LogLoss:
    r"""Log loss after Heskes (1998): the main prediction is the normalised geometric mean.

    With :math:`\log m_c = \frac1T \sum_t \log q_{tc} - \log Z` and the law p of y

    .. math:: -\sum_c p_c \frac1T \sum_t \log q_{tc}
        = H(p) + \mathrm{KL}(p \| m) + \frac1T \sum_t \mathrm{KL}(m \| q_t)

    where the last term is :math:`-\log Z`.

    Parameters
    ----------
    log_probabilities : ndarray of shape (n_rounds, n, n_classes)
    law : ndarray of shape (n, n_classes)
        The law of y at each row: 0 and 1 for one observed y.
    """

    noise_error = None

    def __init__(self, log_probabilities: np.ndarray, law: np.ndarray) -> None:
        self.n_rounds = len(log_probabilities)
        self._log_probabilities, self._law = log_probabilities, law
        self._mean = log_probabilities.mean(axis=0)
        self._entropy = entr(law).sum(axis=1)

    def terms(self, without: int | None = None) -> Terms:
        """Return every term, row by row."""
        mean = self._mean
        if without is not None:
            mean = mean + (mean - self._log_probabilities[without]) / (self.n_rounds - 1)
        log_normaliser = logsumexp(mean, axis=1)
        main = mean - log_normaliser[:, None]
        return {
            "expected_loss": -(self._law * mean).sum(axis=1),
            "bias": -(self._law * main).sum(axis=1) - self._entropy,
            "variance": -log_normaliser,
            "noise": self._entropy,
        }

    def main_prediction(self) -> np.ndarray:
        """Return the geometric mean of the probabilities."""
        return np.exp(self._mean - logsumexp(self._mean, axis=1, keepdims=True))


def count(votes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return how often each row got each class, ``(n, n_classes)``."""
    counts = np.zeros((votes.shape[1], n_classes))
    rows = np.arange(votes.shape[1])
    for vote in votes:
        counts[rows, vote] += 1
    return counts


def shares(counts: np.ndarray, votes: np.ndarray, without: int | None) -> np.ndarray:
    """Return the shares of the classes, one round left out if so asked."""
    if without is None:
        return counts / len(votes)
    counts = counts.copy()
    counts[np.arange(len(counts)), votes[without]] -= 1
    return counts / (len(votes) - 1)


def pure_error(y: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, float]:
    r"""Return the variance of y about the mean of its place, pooled, and its standard error.

    .. math:: \hat\sigma^2 = \sum_g \sum_{i \in g} (y_i - \bar y_g)^2 \Big/ \sum_g (r_g - 1)

    The error is over places; with one place alone it is that of normal noise.
    """
    repeats = np.bincount(places).astype(float)
    means = np.stack([np.bincount(places, column) / repeats for column in y.T], axis=1)
    squares = (y - means[places]) ** 2
    degrees = (repeats - 1).sum()
    noise = squares.sum(axis=0) / degrees
    by_place = np.bincount(places, squares.mean(axis=1))[repeats > 1]
    apart = by_place - noise.mean() * (repeats[repeats > 1] - 1)
    n_places = len(by_place)
    if n_places == 1:
        return noise, float(noise.mean() * np.sqrt(2 / degrees))
    return noise, float(np.sqrt(n_places / (n_places - 1) * (apart**2).sum()) / degrees)


def standard_errors(decomposition: Any) -> dict[str, float]:
    r"""Return each term's standard error by the jackknife over rounds.

    .. math:: \mathrm{se}^2 = \frac{T - 1}{T} \sum_t (\theta_{(t)} - \bar\theta)^2

    where theta_(t) is the term without round t. Noise that no round has a part in has the error of
    its own estimate, which is part of the expected loss's.
    """
    T = decomposition.n_rounds
    if T < 3:
        return dict.fromkeys(decomposition.terms(), float("nan"))
    without = [_means(decomposition.terms(without=t)) for t in range(T)]
    errors = {
        name: float(np.sqrt((T - 1) * np.var([means[name] for means in without])))
        for name in without[0]
    }
    if decomposition.noise_error is not None:
        errors["noise"] = decomposition.noise_error
        both = errors["expected_loss"], decomposition.noise_error
        errors["expected_loss"] = float(np.hypot(*both))
    return errors


def _means(terms: Terms) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in terms.items()}


def _error_over_rows(values: np.ndarray) -> float:
    n = len(values)
    return float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
