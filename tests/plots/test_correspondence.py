"""The points of the map, their names, and what is refused."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skbasics import CorrespondenceAnalysis, CorrespondenceDisplay

matplotlib.use("agg")
SMOKING = pd.DataFrame(
    [[4, 2, 3, 2], [4, 3, 7, 4], [25, 10, 12, 4], [18, 24, 33, 13], [10, 6, 7, 2]],
    index=["SM", "JM", "SE", "JE", "SC"],
    columns=["none", "light", "medium", "heavy"],
)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def texts(display):
    return [text.get_text() for text in display.texts_]


def test_the_points_are_those_of_the_analysis():
    analysis = CorrespondenceAnalysis(3).fit(SMOKING)
    shown = CorrespondenceDisplay.from_estimator(analysis, axes=(2, 0))
    np.testing.assert_array_equal(shown.rows, analysis.row_coordinates_[:, [2, 0]])
    np.testing.assert_array_equal(shown.rows_.get_offsets(), shown.rows)
    np.testing.assert_array_equal(shown.columns_.get_offsets(), shown.columns)
    np.testing.assert_array_equal(shown.columns, analysis.column_coordinates_[:, [2, 0]])
    assert texts(shown) == list(SMOKING.columns)  # the fit knows no index
    assert shown.ax_.get_xlabel() == "axis 3 (0.5 % of inertia)"
    assert shown.ax_.get_ylabel() == "axis 1 (87.8 % of inertia)"
    assert shown.ax_.get_aspect() == 1
    assert [text.get_text() for text in shown.ax_.get_legend().get_texts()] == ["rows", "columns"]
    assert shown.figure_ is shown.ax_.figure


def test_names_come_from_the_frame_or_the_caller():
    analysis = CorrespondenceAnalysis().fit(SMOKING)
    shown = CorrespondenceDisplay.from_estimator(analysis, SMOKING[:2])
    assert texts(shown) == ["SM", "JM", *SMOKING.columns]
    np.testing.assert_array_equal(shown.rows, analysis.row_coordinates_[:2])
    plain = CorrespondenceAnalysis().fit(SMOKING.to_numpy())
    assert texts(CorrespondenceDisplay.from_estimator(plain)) == []
    named = CorrespondenceDisplay.from_estimator(plain, row_labels="abcde", column_labels=range(4))
    assert texts(named) == [*"abcde", *"0123"]


def test_merged_sparse_and_tensor_tables():
    table = SMOKING.to_numpy(copy=True)
    merged = CorrespondenceAnalysis().fit(table) + CorrespondenceAnalysis().fit(table)
    shown = CorrespondenceDisplay.from_estimator(merged, sp.csr_array(table))
    assert shown.rows.shape == (5, 2)
    with pytest.raises(AttributeError, match="about the rows of one table"):
        CorrespondenceDisplay.from_estimator(merged)
    with config_context(array_api_dispatch=True):
        tensors = CorrespondenceAnalysis().fit(torch.from_numpy(table))
        again = CorrespondenceDisplay.from_estimator(tensors)
    np.testing.assert_allclose(again.rows, shown.rows, atol=1e-12)


def test_it_draws_again_on_axes_it_is_given():
    _, ax = plt.subplots()
    analysis = CorrespondenceAnalysis().fit(SMOKING)
    shown = CorrespondenceDisplay.from_estimator(analysis, ax=ax, legend=False)
    assert shown.ax_ is ax
    assert ax.get_legend() is None
    assert shown.plot().ax_ is not ax
    bare = CorrespondenceDisplay(rows=shown.rows, columns=shown.columns).plot()
    assert bare.ax_.get_xlabel() == "axis 1"
    assert bare.texts_ == []


def test_maps_that_cannot_be_drawn():
    with pytest.raises(NotFittedError, match="CorrespondenceAnalysis instance is not fitted yet"):
        CorrespondenceDisplay.from_estimator(CorrespondenceAnalysis())
    line = CorrespondenceAnalysis(1).fit(SMOKING)
    with pytest.raises(ValueError, match=r"axes=\(0, 1\) cannot be shown: the analysis has 1 axes"):
        CorrespondenceDisplay.from_estimator(line)
    plane = CorrespondenceAnalysis().fit(SMOKING)
    for axes in ((0, 2), (-1, 0), (0,)):
        with pytest.raises(ValueError, match="the analysis has 2 axes, counted from 0"):
            CorrespondenceDisplay.from_estimator(plane, axes=axes)
    with pytest.raises(ValueError, match="row_labels has 2 names for 5 points"):
        CorrespondenceDisplay.from_estimator(plane, row_labels=["a", "b"])


def test_only_an_analysis_is_drawn():
    with pytest.raises(TypeError, match=r"got Pipeline. Of a Pipeline pass the last step"):
        CorrespondenceDisplay.from_estimator(make_pipeline(CorrespondenceAnalysis()))
