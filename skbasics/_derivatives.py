"""Derivatives of K functions at once, by torch's automatic differentiation."""

from collections.abc import Callable

import torch
from torch import Tensor


@torch.enable_grad()
def values_and_gradients(
    function: Callable[[Tensor], Tensor], theta: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return the K values at theta ``(K, P)`` and their gradients ``(K, P)``.

    `function` maps theta to K values, value k depending on row k alone. The gradients are
    None where the values do not depend on theta through differentiable operations.
    """
    theta = theta.detach().clone().requires_grad_()
    values = function(theta)
    if not values.requires_grad:
        return values, None
    (gradients,) = torch.autograd.grad(values.sum(), theta, allow_unused=True)
    return values.detach(), gradients


@torch.enable_grad()
def hessians(function: Callable[[Tensor], Tensor], theta: Tensor, chunk_size: int = 32) -> Tensor:
    """Return the K Hessians ``(K, P, P)`` of `function`, as in `values_and_gradients`.

    Row k of the values depends on row k of theta alone, so one direction serves all K: the
    gradient is computed once, and P directions go back through it, `chunk_size` at a time.

    Raises
    ------
    RuntimeError
        If the function cannot be differentiated twice.
    """
    n_replicas, width = theta.shape
    second = theta.new_zeros(width, n_replicas, width)
    theta = theta.detach().clone().requires_grad_()
    (gradients,) = torch.autograd.grad(function(theta).sum(), theta, create_graph=True)
    if not gradients.requires_grad:
        raise RuntimeError(
            "the gradient does not depend on the parameters (the function is linear, or made of "
            "operations with a first derivative alone)"
        )
    directions = torch.eye(width, dtype=theta.dtype, device=theta.device)[:, None]
    for part in torch.arange(width, device=theta.device).split(chunk_size):
        (rows,) = torch.autograd.grad(
            gradients,
            theta,
            directions[part].expand(len(part), n_replicas, width),
            retain_graph=True,
            is_grads_batched=True,
        )
        second[part] = rows
    second = second.movedim(0, 1)
    return torch.add(second, second.mT).div_(2)
