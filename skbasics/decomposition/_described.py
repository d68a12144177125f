"""What a correspondence analysis reports: the fitted attributes, from axes and rows."""

from typing import Any

import torch
from scipy.special import chdtrc

from skbasics.decomposition._profiles import Axes, Profiles, Table

OF_THE_AXES = (
    "n_components_",
    "column_coordinates_",
    "column_masses_",
    "column_contributions_",
    "column_cosine_similarities_",
    "eigenvalues_",
    "singular_values_",
    "total_inertia_",
    "explained_inertia_ratio_",
    "chi2_",
    "p_value_",
    "_axes",
    "_power",
)
OF_THE_ROWS = (
    "row_coordinates_",
    "row_masses_",
    "row_contributions_",
    "row_cosine_similarities_",
    "_row_weights",
)


def of_the_axes(axes: Axes, table: Table, power: float) -> dict[str, Any]:
    """Return the attributes that concern the axes and the columns."""
    eigenvalues, squares = axes.singular_values.square(), axes.directions.square()
    chi2 = axes.total * axes.inertia
    n_columns = int((axes.centroid > 0).sum())
    return {
        "n_components_": len(eigenvalues),
        "column_coordinates_": axes.standard_columns * axes.singular_power(power),
        "column_masses_": axes.centroid,
        "column_contributions_": squares,
        "column_cosine_similarities_": axes.share_of_columns(squares * eigenvalues),
        "eigenvalues_": eigenvalues,
        "singular_values_": axes.singular_values,
        "total_inertia_": axes.inertia,
        "explained_inertia_ratio_": eigenvalues / (axes.inertia or 1.0),
        "chi2_": chi2,
        "p_value_": _p_value(chi2, (table.occupied - 1) * (n_columns - 1)),
    }


def of_the_rows(axes: Axes, rows: Profiles, power: float) -> dict[str, Any]:
    """Return the attributes that concern the rows."""
    F, distances = axes.project(rows)
    masses = rows.masses / axes.total
    seen = distances > axes.noise
    return {
        "row_coordinates_": F * axes.singular_power(power - 1),
        "row_masses_": masses,
        "row_contributions_": masses[:, None] * (F * axes.singular_power(-1)).square(),
        "row_cosine_similarities_": F.square() / distances.where(seen, torch.inf)[:, None],
        "_row_weights": rows.weights,
    }


def _p_value(chi2: float, degrees: float) -> float:
    """Return the upper tail of the chi-square distribution; without freedom all is as expected."""
    if degrees == 0:
        return 1.0
    return float(chdtrc(degrees, chi2)) if degrees > 0 else float("nan")
