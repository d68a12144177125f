"""Arguments of functions, as tensors, and results as what the arguments were."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skbasics._arrays import Border, as_numpy, as_tensor
from skbasics._sklearn import plain


def as_tensors(*arguments: Any) -> tuple[list[Tensor], Callable[[Tensor], Any]]:
    """Return numbers and arrays as tensors of one floating dtype, and the way back.

    float32 where every array is, else float64. Tensors keep their gradients. The way back leads
    to the namespace of the first argument that is no list and no NumPy array, or to NumPy.

    Raises
    ------
    ValueError
        If a masked array hides entries.
    """
    foreign = [a for a in arguments if isinstance(a, Tensor) or _is_foreign(a)]
    arrays = [
        a if isinstance(a, Tensor) else np.asarray(as_numpy(plain("An argument", a)))
        for a in arguments
    ]
    sized = [a for a in arrays if a.ndim] or arrays
    single = all(str(a.dtype).endswith("float32") for a in sized)
    device = next((a.device for a in foreign if isinstance(a, Tensor)), None)
    dtype = torch.float32 if single else torch.float64
    tensors = [
        (a if isinstance(a, Tensor) else as_tensor(a)).to(device=device, dtype=dtype)
        for a in arrays
    ]
    return tensors, _as_tensor if device is not None else _back_to(*foreign[:1])


def _is_foreign(argument: Any) -> bool:
    return hasattr(argument, "__array_namespace__") and not isinstance(
        argument, (np.ndarray, np.generic)
    )


def _as_tensor(result: Tensor) -> Tensor:
    return result


def _back_to(*like: Any) -> Callable[[Tensor], Any]:
    if like:
        return Border.like(like[0]).as_caller
    return lambda result: result.numpy()[()]
