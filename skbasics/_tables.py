"""Results that are tables: as aligned text, as columns, as a data frame."""

from collections.abc import Collection, Sequence
from typing import Any


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int]) -> str:
    """Return cells as lines of aligned columns under a header; `right` are those of numbers."""
    cells = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


class Tabular:
    """A result with a row, a named tuple, for each part of what was looked at.

    A subclass says where the rows are (`_rows`) and of what kind (`_kind`).
    """

    _kind: type
    _rows: Sequence[Any]

    def as_dict(self) -> dict[str, list[Any]]:
        """Return the columns by name.

        Returns
        -------
        columns : dict of list
            Of one length, an entry for each row.
        """
        names = self._kind._fields
        return {name: [getattr(row, name) for row in self._rows] for name in names}

    def to_frame(self) -> Any:
        """Return the rows as a pandas data frame.

        Returns
        -------
        frame : pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed; `as_dict` needs nothing.
        """
        import pandas as pd

        return pd.DataFrame(self.as_dict())
