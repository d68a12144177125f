r"""Gradient descent and its family: each class is one recurrence, elementwise on (K, P).

Below, :math:`g_t` is the gradient of the batch at :math:`\theta_t` (for `NAG` at the
look-ahead point), :math:`\eta` the learning rate. Every hyper-parameter is a number or, in a
stack whose replicas differ in it, a ``(K, 1)`` column.
"""

from dataclasses import dataclass, field
from numbers import Real
from typing import ClassVar

import torch
from torch import Tensor

from skbasics._arrays import add_scaled_
from skbasics._sklearn import Interval
from skbasics.optim._base import FRACTION, LEARNING_RATE, FirstOrder
from skbasics.optim._schedules import POSITIVE, Schedule
from skbasics.optim._state import State

CLIP = [POSITIVE, None]
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")


def _decay_average_(average: Tensor, value: Tensor, beta: float | Tensor) -> None:
    """``average = beta * average + (1 - beta) * value``, in place."""
    average.lerp_(value, 1 - beta)


@dataclass(frozen=True)
class SGD(FirstOrder):
    r"""Stochastic gradient descent.

    .. math:: \theta_{t+1} = \theta_t - \eta \, g_t

    Parameters
    ----------
    learning_rate : float or Schedule, default=0.01
        The rate :math:`\eta`.
    max_gradient_norm : float or None, default=None
        Scale a longer gradient back to this Euclidean norm.

    Examples
    --------
    >>> from skbasics.optim import SGD
    >>> SGD(0.1).replace(max_gradient_norm=1.0)
    SGD(learning_rate=0.1, max_gradient_norm=1.0)
    """

    learning_rate: float | Schedule = 0.01
    max_gradient_norm: float | None = field(default=None, kw_only=True)

    _parameter_constraints: ClassVar[dict] = {
        "learning_rate": LEARNING_RATE,
        "max_gradient_norm": CLIP,
    }

    def update(self, theta: Tensor, gradient: Tensor, state: State) -> None:
        add_scaled_(theta, gradient, -state.learning_rate)


@dataclass(frozen=True)
class GradientDescent(SGD):
    r"""Gradient descent on the full batch.

    .. math:: \theta_{t+1} = \theta_t - \eta \, \nabla L(\theta_t)

    The rule of `SGD`; an estimator with ``batch_size="auto"`` gives it all rows at once, so
    that an epoch is a step.

    Parameters
    ----------
    learning_rate : float or Schedule, default=0.1
        The rate :math:`\eta`.
    max_gradient_norm : float or None, default=None
        Scale a longer gradient back to this Euclidean norm.

    Examples
    --------
    >>> from skbasics.optim import GradientDescent
    >>> GradientDescent()
    GradientDescent(learning_rate=0.1, max_gradient_norm=None)
    """

    learning_rate: float | Schedule = 0.1

    full_batch: ClassVar[bool] = True


@dataclass(frozen=True)
class Momentum(FirstOrder):
    r"""Gradient descent with a velocity, a decayed sum of the steps.

    .. math::
        \nu_t = \gamma \, \nu_{t-1} + \eta \, g_t, \qquad \theta_{t+1} = \theta_t - \nu_t

    The velocity remembers about :math:`1/(1-\gamma)` steps.

    Parameters
    ----------
    learning_rate : float or Schedule, default=0.01
        The rate :math:`\eta`.
    momentum : float, default=0.9
        The decay :math:`\gamma`, in [0, 1).
    max_gradient_norm : float or None, default=None
        Scale a longer gradient back to this Euclidean norm.

    Examples
    --------
    >>> from skbasics.optim import Momentum
    >>> Momentum(0.1)
    Momentum(learning_rate=0.1, momentum=0.9, max_gradient_norm=None)
    """

    learning_rate: float | Schedule = 0.01
    momentum: float = 0.9
    max_gradient_norm: float | None = field(default=None, kw_only=True)

    buffer_names: ClassVar[tuple[str, ...]] = ("velocity",)
    _parameter_constraints: ClassVar[dict] = {
        "learning_rate": LEARNING_RATE,
        "momentum": [FRACTION],
        "max_gradient_norm": CLIP,
    }

    def update(self, theta: Tensor, gradient: Tensor, state: State) -> None:
        velocity = state.buffers["velocity"]
        velocity.mul_(state.numbers["momentum"])
        add_scaled_(velocity, gradient, state.learning_rate)
        theta.sub_(velocity)


@dataclass(frozen=True)
class NAG(Momentum):
    r"""Nesterov's accelerated gradient: the gradient is taken where the velocity leads.

    .. math::
        \nu_t = \gamma \, \nu_{t-1} + \eta \, \nabla L(\theta_t - \gamma \, \nu_{t-1}), \qquad
        \theta_{t+1} = \theta_t - \nu_t

    (scikit-learn and torch write the same recurrence in the look-ahead points.)

    Parameters
    ----------
    learning_rate : float or Schedule, default=0.01
        The rate :math:`\eta`.
    momentum : float, default=0.9
        The decay :math:`\gamma`, in [0, 1).
    max_gradient_norm : float or None, default=None
        Scale a longer gradient back to this Euclidean norm.

    References
    ----------
    Sutskever et al., "On the importance of initialization and momentum", ICML 2013.

    Examples
    --------
    >>> from skbasics.optim import NAG
    >>> NAG(momentum=0.8).momentum
    0.8
    """

    def look_ahead(self, theta: Tensor, state: State) -> None:
        add_scaled_(theta, state.buffers["velocity"], -state.numbers["momentum"])

    def update(self, theta: Tensor, gradient: Tensor, state: State) -> None:
        # theta already stands at the look-ahead point: what remains of the step is the
        # gradient's part.
        velocity = state.buffers["velocity"]
        velocity.mul_(state.numbers["momentum"])
        add_scaled_(velocity, gradient, state.learning_rate)
        add_scaled_(theta, gradient, -state.learning_rate)


@dataclass(frozen=True)
class RMSprop(FirstOrder):
    r"""Divides the gradient by a running root mean square of itself.

    .. math::
        s_t = \beta \, s_{t-1} + (1 - \beta) \, g_t^2, \qquad
        \theta_{t+1} = \theta_t - \eta \, \frac{g_t}{\sqrt{s_t} + \epsilon}

    Parameters
    ----------
    learning_rate : float or Schedule, default=1e-3
        The rate :math:`\eta`.
    beta : float, default=0.9
        The decay of the mean square, in [0, 1).
    epsilon : float, default=1e-8
        Added outside the root, as by torch.
    max_gradient_norm : float or None, default=None
        Scale a longer gradient back to this Euclidean norm.

    References
    ----------
    Hinton, "Neural networks for machine learning", lecture 6, 2012.

    Examples
    --------
    >>> from skbasics.optim import RMSprop
    >>> RMSprop().beta
    0.9
    """

    learning_rate: float | Schedule = 1e-3
    beta: float = 0.9
    epsilon: float = 1e-8
    max_gradient_norm: float | None = field(default=None, kw_only=True)

    buffer_names: ClassVar[tuple[str, ...]] = ("mean_square",)
    _parameter_constraints: ClassVar[dict] = {
        "learning_rate": LEARNING_RATE,
        "beta": [FRACTION],
        "epsilon": [POSITIVE],
        "max_gradient_norm": CLIP,
    }

    def update(self, theta: Tensor, gradient: Tensor, state: State) -> None:
        mean_square = state.buffers["mean_square"]
        _decay_average_(mean_square, gradient.square(), state.numbers["beta"])
        direction = gradient / (mean_square.sqrt() + state.numbers["epsilon"])
        add_scaled_(theta, direction, -state.learning_rate)


@dataclass(frozen=True)
class Adam(FirstOrder):
    r"""Momentum over RMSprop, with the bias of the zero start taken out.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) \, g_t \\
        s_t &= \beta_2 s_{t-1} + (1 - \beta_2) \, g_t^2 \\
        \theta_{t+1} &= \theta_t - \eta \,
        \frac{m_t / (1 - \beta_1^t)}{\sqrt{s_t / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    learning_rate : float or Schedule, default=1e-3
        The rate :math:`\eta`.
    beta_1, beta_2 : float, default=0.9 and 0.999
        The decays of the first and second moment, in [0, 1).
    epsilon : float, default=1e-8
        Added to the root.
    max_gradient_norm : float or None, default=None
        Scale a longer gradient back to this Euclidean norm.

    References
    ----------
    Kingma and Ba, "Adam", ICLR 2015, algorithm 1.

    Examples
    --------
    >>> from skbasics.optim import Adam
    >>> Adam(3e-4) == Adam(learning_rate=3e-4)
    True
    """

    learning_rate: float | Schedule = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    max_gradient_norm: float | None = field(default=None, kw_only=True)

    buffer_names: ClassVar[tuple[str, ...]] = ("first_moment", "second_moment")
    _parameter_constraints: ClassVar[dict] = {
        "learning_rate": LEARNING_RATE,
        "beta_1": [FRACTION],
        "beta_2": [FRACTION],
        "epsilon": [POSITIVE],
        "max_gradient_norm": CLIP,
    }

    def update(self, theta: Tensor, gradient: Tensor, state: State) -> None:
        step = state.common_step
        if step is None:
            _adam(theta, gradient, state)
        else:
            _fused_adam(theta, gradient, state, step)


@dataclass(frozen=True)
class AdamW(Adam):
    r"""Adam with decoupled weight decay: weights shrink by themselves, not by the gradient.

    .. math:: W \leftarrow (1 - \eta \lambda) \, W \quad \text{before each step of Adam}

    Biases and the parameters of batch normalisation are spared.

    Parameters
    ----------
    learning_rate : float or Schedule, default=1e-3
        The rate :math:`\eta`.
    beta_1, beta_2 : float, default=0.9 and 0.999
        The decays of the first and second moment, in [0, 1).
    epsilon : float, default=1e-8
        Added to the root.
    weight_decay : float, default=0.01
        The decay :math:`\lambda`. (An estimator's ``alpha`` is another penalty, added to the
        loss; set it to 0 to have this one alone.)
    max_gradient_norm : float or None, default=None
        Scale a longer gradient back to this Euclidean norm.

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> from skbasics.optim import AdamW
    >>> AdamW(weight_decay=0.1).weight_decay
    0.1
    """

    weight_decay: float = 0.01

    _parameter_constraints: ClassVar[dict] = {
        **Adam._parameter_constraints,
        "weight_decay": [NOT_NEGATIVE],
    }

    def update(self, theta: Tensor, gradient: Tensor, state: State) -> None:
        weights = theta[:, : state.n_decayed]
        weights.mul_(1 - state.learning_rate * state.numbers["weight_decay"])
        super().update(theta, gradient, state)


def _adam(theta: Tensor, gradient: Tensor, state: State) -> None:
    beta_1, beta_2 = state.numbers["beta_1"], state.numbers["beta_2"]
    m, s, t = state.buffers["first_moment"], state.buffers["second_moment"], state.time(theta)
    _decay_average_(m, gradient, beta_1)
    _decay_average_(s, gradient.square(), beta_2)
    root = (s / (1 - beta_2**t)).sqrt_().add_(state.numbers["epsilon"])
    direction = (m / (1 - beta_1**t)).div_(root)
    add_scaled_(theta, direction, -state.learning_rate)


def _fused_adam(theta: Tensor, gradient: Tensor, state: State, step: int) -> None:
    """The same in one pass over memory; torch.optim offers the kernel through a slow class."""
    torch._fused_adam_(
        [theta],
        [gradient],
        [state.buffers["first_moment"]],
        [state.buffers["second_moment"]],
        [],
        [torch.full((), step, dtype=torch.float32, device=theta.device)],
        lr=state.learning_rate,
        beta1=state.numbers["beta_1"],
        beta2=state.numbers["beta_2"],
        weight_decay=0.0,
        eps=state.numbers["epsilon"],
        amsgrad=False,
        maximize=False,
    )
