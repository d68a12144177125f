"""Orthonormal directions made unique: their signs, and what completes a basis."""

import torch
from torch import Tensor

SIGN_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-5}
AXIS_TOLERANCE = 1e-3


def fixed_signs(V: Tensor, tolerance: float) -> Tensor:
    """Return the rows of V turned so that their largest entry is positive.

    That is the rule of scikit-learn's ``svd_flip``. Among entries that differ by rounding
    alone, which is a relative `tolerance`, the first one decides, so that every solver and
    every order of the rows comes to the same signs.
    """
    sizes = V.abs()
    candidates = sizes >= sizes.amax(1, keepdim=True) * (1 - tolerance)
    first = candidates.to(torch.int8).argmax(1, keepdim=True)
    return torch.where(V.gather(1, first) < 0, -V, V) + 0.0  # which leaves no -0.0


def completed(V: Tensor, n_rows: int) -> Tensor:
    """Return orthonormal V with rows added, which depend on the space it spans and no more.

    Each new row is the axis of feature space that lies farthest from the span so far, the
    first of those that lie equally far, less its projection: constant features come first, as
    they are.
    """
    basis = V.new_zeros(n_rows, V.shape[1])
    basis[: len(V)] = V
    far = 1 - V.square().sum(0)
    for i in range(len(V), n_rows):
        axis = int((far >= far.max() * (1 - AXIS_TOLERANCE)).to(torch.int8).argmax())
        row = V.new_zeros(V.shape[1])
        row[axis] = 1
        if 1 - far[axis] > torch.finfo(V.dtype).eps:  # else it is orthogonal to all
            for _ in range(2):  # the first subtraction leaves rounding
                row -= basis[:i].mT @ (basis[:i] @ row)
        basis[i] = row / torch.linalg.vector_norm(row)
        far -= basis[i].square()
    return basis
