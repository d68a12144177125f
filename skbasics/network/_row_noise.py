"""Gaussian noise that depends on a row's key and not on where the row stands."""

import math

import torch
from torch import Tensor

# Constants of the splitmix64 generator (Steele, Lea and Flood, "Fast splittable pseudorandom
# number generators", OOPSLA 2014), as signed numbers.
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64


def row_noise(keys: Tensor, seeds: Tensor, width: int) -> Tensor:
    """Return standard normal numbers ``(K, batch, width)`` in float64.

    They are a function of a row's key, the replica's seed and the column alone: equal rows have
    equal noise, rows that are added or left out change nobody else's, nor does their order. So a
    weight of two is the row twice, even where training is random.

    Parameters
    ----------
    keys : Tensor of int64, of shape (K, batch, 1)
    seeds : Tensor of int64, of shape (K, 1, 1)
        Another one for every step.
    width : int
        Numbers a row.
    """
    columns = torch.arange(1, width + 1, device=keys.device).mul_(_GOLDEN)
    bits = mixed(mixed(keys + mixed(seeds * _GOLDEN)) + columns)
    # 52 bits and a half are a float64 exactly, and never the ends of (-1, 1).
    uniform = (bits >> 12).double().add_(0.5).mul_(2.0**-51)
    return torch.erfinv(uniform, out=uniform).mul_(math.sqrt(2))


def mixed(bits: Tensor) -> Tensor:
    """Return 64-bit numbers scrambled, each by itself: splitmix64's last step."""
    bits = (bits ^ _shifted(bits, 30)).mul_(_FIRST)
    bits.bitwise_xor_(_shifted(bits, 27)).mul_(_SECOND)
    return bits.bitwise_xor_(_shifted(bits, 31))


def _shifted(bits: Tensor, places: int) -> Tensor:
    """Return the bits moved right, with zeros from the left: torch repeats the sign."""
    return (bits >> places).bitwise_and_((1 << (64 - places)) - 1)
