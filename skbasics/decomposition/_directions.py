"""Orthonormal directions made unique: their signs, and what completes a basis.

Both are many small steps on arrays of the size of the components, so they are taken on the host
whatever the device, and in NumPy: torch's threads would wait for those of the eigensolver.
"""

import numpy as np

SIGN_TOLERANCE = {"float64": 1e-8, "float32": 1e-5}
AXIS_TOLERANCE = 1e-3


def fixed_signs(V: np.ndarray, tolerance: float) -> np.ndarray:
    """Return the rows of V turned so that their largest entry is positive.

    That is the rule of scikit-learn's ``svd_flip``. Among entries that differ by rounding
    alone, which is a relative `tolerance`, the first one decides, so that every solver and
    every order of the rows comes to the same signs.
    """
    sizes = np.abs(V)
    candidates = sizes >= sizes.max(1, keepdims=True, initial=0.0) * (1 - tolerance)
    first = np.take_along_axis(V, candidates.argmax(1)[:, None], 1)
    return V * np.where(first < 0, -1.0, 1.0) + 0.0  # which leaves no -0.0


def completed(V: np.ndarray, n_rows: int) -> np.ndarray:
    """Return orthonormal V with rows added, which depend on the space it spans and no more.

    The axes of feature space that are orthogonal to it come first: constant features, as they
    are. Each further row is the axis that lies farthest from the span so far, the first of
    those that lie equally far, less its projection.
    """
    basis = np.zeros((n_rows, V.shape[1]))
    basis[: len(V)] = V
    near = np.einsum("ij,ij->j", V, V)
    axes = np.flatnonzero(near <= np.finfo(np.float64).eps)[: n_rows - len(V)]
    found = len(V) + len(axes)
    basis[np.arange(len(V), found), axes] = 1
    far = 1 - near
    far[axes] = 0
    for i in range(found, n_rows):
        axis = np.argmax(far >= far.max() * (1 - AXIS_TOLERANCE))
        row = np.zeros(V.shape[1])
        row[axis] = 1
        for _ in range(2):  # the first subtraction leaves rounding
            row -= (basis[:i] @ row) @ basis[:i]
        basis[i] = row / np.linalg.norm(row)
        far -= np.square(basis[i])
    return basis
