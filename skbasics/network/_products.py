"""The matrix products of a dense layer, each by the faster of two libraries.

torch multiplies float32 matrices by MKL, which on processors that are not Intel's leaves
the wide vector units unused; oneDNN, which torch carries for convolutions, uses them. From
some millions of multiplications on it is about twice as fast (see the page on benchmarks),
below that its set-up costs more than it gains. The numbers agree to rounding.
"""

import torch
from torch import Tensor

ONEDNN_FROM = 4_000_000
"""Multiplications in a product from which oneDNN is tried."""

try:
    _linear = (
        torch.ops.mkldnn._linear_pointwise.default if torch.backends.mkldnn.is_available() else None
    )
except (AttributeError, RuntimeError):  # the operator is private to torch
    _linear = None


def affine(X: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> Tensor:
    """Return ``X W^T + b``, in `out` or in memory of its own.

    Shapes: X ``(K, batch, fan_in)``, weight ``(K, fan_out, fan_in)``, bias
    ``(K, 1, fan_out)``.
    """
    if _worthwhile(X, weight.shape[1]):
        return _each(out, [_multiply(x, w, b[0]) for x, w, b in zip(X, weight, bias, strict=True)])
    return torch.baddbmm(bias, X, weight.mT, out=out)


def back_to_input(delta: Tensor, weight: Tensor, out: Tensor) -> Tensor:
    """Return the gradient of the input, ``delta W``, in `out` or in memory of its own."""
    if _worthwhile(delta, weight.shape[2]):
        return _each(out, [_multiply(d, w.mT) for d, w in zip(delta, weight, strict=True)])
    if delta.shape[2] == 1:  # an outer product
        return torch.mul(delta, weight, out=out)
    return torch.bmm(delta, weight, out=out)


def back_to_weight(delta: Tensor, X: Tensor, out: Tensor) -> None:
    """Write the gradient of the weight, ``delta^T X``, to `out`."""
    if _worthwhile(X, delta.shape[2]):
        for target, d, x in zip(out, delta, X, strict=True):
            target.copy_(_multiply(d.mT, x.mT))
    elif len(out) == 1:
        torch.bmm(delta.mT, X, out=out)
    else:  # rows of a stack lie apart, and a product written there takes twice as long
        out.copy_(torch.bmm(delta.mT, X))


def _worthwhile(A: Tensor, width: int) -> bool:
    return (
        A.shape[1] * A.shape[2] * width >= ONEDNN_FROM
        and _linear is not None
        and A.dtype == torch.float32
        and A.device.type == "cpu"
    )


def _multiply(A: Tensor, B: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``A B^T + bias`` of two matrices."""
    return _linear(A, B, bias, "none", [], "")


def _each(out: Tensor, results: list[Tensor]) -> Tensor:
    """Return the K results as one tensor, without a copy where K is one."""
    if len(results) == 1:
        return results[0][None]
    for target, result in zip(out, results, strict=True):
        target.copy_(result)
    return out
