"""Functions whose minima and second derivatives are known."""

import torch


def rosenbrock(x):
    """Two variables; zero at (1, 1), at the end of a curved valley."""
    return 100 * (x[..., 1] - x[..., 0] ** 2) ** 2 + (1 - x[..., 0]) ** 2


def rosenbrock_hessian(x):
    first, second = x.tolist()
    return torch.tensor(
        [[1200 * first**2 - 400 * second + 2, -400 * first], [-400 * first, 200.0]],
        dtype=x.dtype,
    )


def beale(x):
    """Two variables; zero at (3, 1/2), between steep walls."""
    first, second = x[..., 0], x[..., 1]
    powers = (second, second**2, second**3)
    return sum((c - first * (1 - p)) ** 2 for c, p in zip((1.5, 2.25, 2.625), powers, strict=True))


CURVATURES = torch.tensor([1.0, 100.0], dtype=torch.float64)


def stiff_quadratic(x):
    """Curvatures 1 and 100; zero at (3, -2)."""
    centre = x.new_tensor([3.0, -2.0])
    return ((x - centre) ** 2 * CURVATURES.to(x.dtype)).sum(-1) / 2


def saddle(x):
    """x^2 - y^2, bounded below: a saddle at 0, minima of -1 at (0, +-sqrt 2)."""
    return x[..., 0] ** 2 - x[..., 1] ** 2 + x[..., 1] ** 4 / 4


def monkey_saddle(x):
    """x^3 - 3 x y^2, bounded below: all derivatives up to the second vanish at 0.

    In polar coordinates it is r^3 cos(3 phi) + r^4, whose minimum is -27/256 at r = 3/4.
    """
    first, second = x[..., 0], x[..., 1]
    return first**3 - 3 * first * second**2 + (first**2 + second**2) ** 2
