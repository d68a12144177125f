"""What a bias-variance experiment found."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class BiasVariance:
    """Noise, bias and variance of an estimator, which add up to its expected loss.

    Attributes
    ----------
    expected_loss : float
        The mean loss over rounds and rows, and ``noise + bias + variance`` to rounding. Where
        `true_values` gave the law of y, it is that of a new y at the same rows.
    bias : float
        For squared error the *squared* bias; for 0-1 loss the share of rows whose main prediction
        is wrong (Domingos) or half the squared distance of two laws (Kohavi-Wolpert); for log loss
        a Kullback-Leibler divergence.
    variance : float
        The part that other training sets would change. Domingos's is net:
        ``variance_unbiased - variance_biased``.
    noise : float
        What no estimator removes; 0.0 where neither `true_values` nor repeats tell it from the
        bias. Domingos's depends on the estimator: deviating from a label that is itself noisy
        may be a gain.
    standard_errors : dict of str to float
        Of each term, by the jackknife over rounds; nan with fewer than three; rough for
        Domingos's, whose main prediction jumps. The noise of squared error, in which the rounds
        have no part, has the error of its estimate over rows, and the expected loss has both.
    per_sample : dict of str to ndarray of shape (n_test,)
        Each term row by row, whose means are the terms, and "main_prediction".
    n_rounds : int
        Training sets.
    loss : str
        "squared_error", "zero_one" or "log_loss".
    observed_loss : float
        The mean loss against `y_test`, whatever is known of its law.
    zero_one_definition : str or None
        "domingos" or "kohavi_wolpert"; None for the other losses.
    variance_unbiased, variance_biased : float or None
        Domingos: what the variance adds on rows with a right main prediction, and what it takes
        off on rows with a wrong one. None elsewhere.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import LinearRegression
    >>> from skbasics import bias_variance_decomposition
    >>> X, y = load_diabetes(return_X_y=True)
    >>> found = bias_variance_decomposition(
    ...     LinearRegression(), X, y, n_rounds=20, random_state=0
    ... )
    >>> abs(found.expected_loss - (found.noise + found.bias + found.variance)) < 1e-9
    True
    >>> sorted(found.standard_errors)
    ['bias', 'expected_loss', 'noise', 'variance']
    """

    expected_loss: float
    bias: float
    variance: float
    noise: float
    standard_errors: dict[str, float]
    per_sample: dict[str, np.ndarray]
    n_rounds: int
    loss: str
    observed_loss: float
    zero_one_definition: str | None = None
    variance_unbiased: float | None = None
    variance_biased: float | None = None

    def __repr__(self) -> str:
        definition = f", {self.zero_one_definition!r}" if self.zero_one_definition else ""
        head = f"BiasVariance(loss={self.loss!r}{definition}, n_rounds={self.n_rounds})"
        squared = self.loss == "squared_error" or self.zero_one_definition == "kohavi_wolpert"
        labels = {
            "noise": "noise",
            "bias": "squared bias" if squared else "bias",
            "variance": "variance",
            "expected_loss": "expected loss",
        }
        lines = [
            f"  {label:13} {getattr(self, name):10.4g} ± {self.standard_errors[name]:.2g}"
            for name, label in labels.items()
        ]
        if not any(self.per_sample["noise"]):
            lines[0] = f"  {'noise':13}    not told apart from the bias"
        if self.variance_unbiased is not None:
            lines[2] += (
                f"  (rows right {self.variance_unbiased:+.4g}, wrong {-self.variance_biased:+.4g})"
            )
        return "\n".join([head, *lines])


@dataclass(frozen=True, eq=False, repr=False)
class BiasVarianceCurve:
    """Decompositions along the values of one parameter.

    Attributes
    ----------
    param_name : str
        The parameter.
    param_range : list
        Its values.
    results : list of BiasVariance
        The decomposition at each.
    expected_loss, bias, variance, noise : ndarray of shape (n_values,)
        The terms at each.
    standard_errors : dict of str to ndarray of shape (n_values,)
        Their standard errors.
    best_index : int
        Where the expected loss is lowest.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from skbasics import bias_variance_curve
    >>> X, y = load_diabetes(return_X_y=True)
    >>> curve = bias_variance_curve(
    ...     Ridge(), X, y, param_name="alpha", param_range=[1e-3, 1e3], n_rounds=20, random_state=0
    ... )
    >>> bool(curve.variance[0] > curve.variance[1]), bool(curve.bias[0] < curve.bias[1])
    (True, True)
    """

    param_name: str
    param_range: list
    results: list[BiasVariance]
    expected_loss: np.ndarray = field(init=False)
    bias: np.ndarray = field(init=False)
    variance: np.ndarray = field(init=False)
    noise: np.ndarray = field(init=False)
    standard_errors: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        for name in ("expected_loss", "bias", "variance", "noise"):
            values = np.array([getattr(result, name) for result in self.results])
            object.__setattr__(self, name, values)
        errors = [result.standard_errors for result in self.results]
        by_name = {name: np.array([error[name] for error in errors]) for name in errors[0]}
        object.__setattr__(self, "standard_errors", by_name)

    @property
    def best_index(self) -> int:
        """Where the expected loss is lowest."""
        return int(np.argmin(self.expected_loss))

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        width = max(len(self.param_name), *(len(str(value)) for value in self.param_range))
        names = ("noise", "bias", "variance", "expected_loss")
        lines = [f"{self.param_name:>{width}}" + "".join(f"{name:>15}" for name in names)]
        for value, *terms in zip(
            self.param_range, *(getattr(self, name) for name in names), strict=True
        ):
            lines.append(f"{value!s:>{width}}" + "".join(f"{term:15.4g}" for term in terms))
        return "\n".join(lines)
