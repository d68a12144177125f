r"""Activation functions and their derivatives.

Each comes as three functions of torch operations: the pure one (for autograd and for
prediction), the forward step of training, and the backward step, which multiplies the
incoming gradient :math:`\delta` by :math:`f'`:

============  ==================================  ================================
name          :math:`a = f(z)`                    :math:`f'`
============  ==================================  ================================
identity      :math:`z`                           :math:`1`
logistic      :math:`1 / (1 + e^{-z})`            :math:`a (1 - a)`
tanh          :math:`\tanh z`                     :math:`1 - a^2`
relu          :math:`\max(0, z)`                  :math:`[a > 0]`
leaky_relu    :math:`\max(z, 0.01 z)`             :math:`1` or :math:`0.01`
elu           :math:`z` or :math:`e^z - 1`        :math:`1` or :math:`a + 1`
gelu          :math:`z \Phi(z)`                   :math:`\Phi(z) + z \phi(z)`
silu          :math:`z \sigma(z)`                 :math:`\sigma (1 + z (1 - \sigma))`
softplus      :math:`\log(1 + e^z)`               :math:`\sigma(z)`
============  ==================================  ================================

Those whose derivative can be read off the output overwrite their input; the others keep it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """An elementwise function of a network.

    Attributes
    ----------
    pure : callable
        ``a = pure(z)``, differentiable, changes nothing.
    module : callable
        Makes the same function as an ``nn.Module``.
    forward_ : callable or None
        Overwrites z by a. None where the backward step needs z.
    backward_ : callable
        ``backward_(delta, kept)`` multiplies delta by the derivative in place; ``kept`` is a
        where the forward step overwrote z, else z.
    """

    pure: Callable[[Tensor], Tensor]
    module: Callable[[], nn.Module]
    forward_: Callable[[Tensor], Tensor] | None
    backward_: Callable[[Tensor, Tensor], Tensor]


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(
        lambda z: z,
        nn.Identity,
        lambda z: z,
        lambda delta, a: delta,
    ),
    "logistic": Activation(
        torch.sigmoid,
        nn.Sigmoid,
        torch.sigmoid_,
        lambda delta, a: aten.sigmoid_backward.grad_input(delta, a, grad_input=delta),
    ),
    "tanh": Activation(
        torch.tanh,
        nn.Tanh,
        torch.tanh_,
        lambda delta, a: aten.tanh_backward.grad_input(delta, a, grad_input=delta),
    ),
    "relu": Activation(
        torch.relu,
        nn.ReLU,
        torch.relu_,
        lambda delta, a: aten.threshold_backward.grad_input(delta, a, 0, grad_input=delta),
    ),
    "leaky_relu": Activation(
        F.leaky_relu,
        nn.LeakyReLU,
        F.leaky_relu_,
        lambda delta, a: aten.leaky_relu_backward.grad_input(
            delta, a, 0.01, True, grad_input=delta
        ),
    ),
    "elu": Activation(
        F.elu,
        nn.ELU,
        F.elu_,
        lambda delta, a: aten.elu_backward.grad_input(delta, 1, 1, 1, True, a, grad_input=delta),
    ),
    "gelu": Activation(
        F.gelu,
        nn.GELU,
        None,
        lambda delta, z: aten.gelu_backward.grad_input(delta, z, grad_input=delta),
    ),
    "silu": Activation(
        F.silu,
        nn.SiLU,
        None,
        lambda delta, z: aten.silu_backward.grad_input(delta, z, grad_input=delta),
    ),
    "softplus": Activation(
        F.softplus,
        nn.Softplus,
        None,
        lambda delta, z: aten.softplus_backward.grad_input(delta, z, 1, 20, grad_input=delta),
    ),
}
