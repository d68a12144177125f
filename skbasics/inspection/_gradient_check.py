"""What a gradient check found."""

from dataclasses import dataclass
from typing import NamedTuple

from skbasics._tables import Tabular, aligned


class BlockCheck(NamedTuple):
    """The check of one weight matrix, bias vector or the like.

    Attributes
    ----------
    name : str
        As the estimator calls it, "coefs_[0]" for the weights of the first layer.
    shape : tuple of int
        Its shape there.
    n_checked : int
        How many of its entries were checked.
    n_kinks : int
        Of those, and of the random directions, how many have a kink of the loss so near that it
        showed.
    gradient_norm : float
        The Euclidean norm of its gradient.
    absolute_error, relative_error : float
        The largest of each.
    worst : tuple of int or None
        Which entry has the largest relative error; None where it was a random direction.
    """

    name: str
    shape: tuple[int, ...]
    n_checked: int
    n_kinks: int
    gradient_norm: float
    absolute_error: float
    relative_error: float
    worst: tuple[int, ...] | None


@dataclass(frozen=True, eq=False, repr=False)
class GradientCheck(Tabular):
    """How well a network's backward pass agrees with finite differences of its loss.

    Prints as a table.

    Attributes
    ----------
    name : str
        The class of the estimator.
    loss : float
        The training loss of the batch.
    blocks : tuple of BlockCheck
        A row for each weight matrix and bias vector: ``name``, ``shape``, ``n_checked``,
        ``n_kinks``, ``gradient_norm``, ``absolute_error``, ``relative_error``, ``worst``.
    tolerance : float
        The relative error that is allowed.
    max_error : float
        The largest relative error.
    ok : bool
        Whether that is no larger than the tolerance.

    See Also
    --------
    check_gradients : Makes one.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skbasics import MLPClassifier, check_gradients
    >>> X, y = load_iris(return_X_y=True)
    >>> found = check_gradients(MLPClassifier((5,), "tanh"), X, y, random_state=0)
    >>> [block.name for block in found.blocks]
    ['coefs_[0]', 'intercepts_[0]', 'coefs_[1]', 'intercepts_[1]']
    >>> found.ok, found.max_error == max(found.as_dict()["relative_error"])
    (True, True)
    """

    name: str
    loss: float
    blocks: tuple[BlockCheck, ...]
    tolerance: float

    _kind = BlockCheck

    @property
    def _rows(self) -> tuple[BlockCheck, ...]:
        return self.blocks

    @property
    def max_error(self) -> float:
        """The largest relative error."""
        return max(block.relative_error for block in self.blocks)

    @property
    def ok(self) -> bool:
        """Whether no relative error is larger than the tolerance."""
        return self.max_error <= self.tolerance

    def __repr__(self) -> str:
        verdict = "right" if self.ok else "WRONG"
        head = (
            f"Gradient of {self.name} at loss {self.loss:.6g}: {verdict}. Largest relative error "
            f"{self.max_error:.1e}, allowed {self.tolerance:.1e}."
        )
        header = ("block", "shape", "checked", "kinks", "norm", "absolute", "relative", "worst")
        cells = [_cells(block) for block in self.blocks]
        return f"{head}\n{aligned(header, cells, right=range(2, 7))}"


def _cells(block: BlockCheck) -> list[str]:
    return [
        block.name,
        " x ".join(map(str, block.shape)),
        f"{block.n_checked:,}",
        f"{block.n_kinks:,}",
        f"{block.gradient_norm:.2e}",
        f"{block.absolute_error:.1e}",
        f"{block.relative_error:.1e}",
        "a direction" if block.worst is None else str(list(block.worst)),
    ]
