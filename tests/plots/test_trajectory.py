"""The data of the pictures, and what is refused."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from skbasics import Adam, Momentum, Newton, TrajectoryDisplay, minimize
from tests.optim.functions import beale

matplotlib.use("agg")
STARTS = [[1.0, 1.0], [2.0, -1.0]]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_contours_and_paths_are_those_of_the_function():
    bounds = ((0, 4), (-2, 3))
    shown = TrajectoryDisplay.from_function(
        beale, STARTS, {"slow": Adam(0.01), "fast": Adam(0.1)}, max_iter=30, bounds=bounds
    )
    assert (shown.x[0], shown.x[-1], shown.y[0], shown.y[-1]) == (0, 4, -2, 3)
    assert shown.values.shape == (100, 100)
    expected = beale(np.stack([shown.x[7], shown.y[11]]))
    assert shown.values[11, 7] == pytest.approx(expected)
    for label, rate in (("slow", 0.01), ("fast", 0.1)):
        found = minimize(beale, STARTS, optimizer=Adam(rate), max_iter=30, return_path=True)
        np.testing.assert_array_equal(shown.paths[label], found.path)
        for k, line in enumerate(shown.lines_[label]):
            np.testing.assert_array_equal(line.get_xydata(), found.path[:, k])
    assert [text.get_text() for text in shown.ax_.get_legend().get_texts()] == ["slow", "fast"]
    assert shown.ax_.get_xlim() == (0, 4)
    assert shown.figure_ is shown.ax_.figure


def test_a_single_start_and_a_function_of_one_point():
    shown = TrajectoryDisplay.from_function(
        lambda x: x[0] ** 2 + 5 * x[1] ** 2, [2.0, 1.0], ["newton", Momentum()], grid_resolution=20
    )
    assert list(shown.lines_) == ["newton", "Momentum"]
    assert shown.paths["newton"].shape == (2, 1, 2)
    np.testing.assert_allclose(
        shown.values, shown.x[None] ** 2 + 5 * shown.y[:, None] ** 2, rtol=1e-12
    )
    inside = shown.paths["Momentum"].reshape(-1, 2)
    assert (inside > [shown.x[0], shown.y[0]]).all()
    assert (inside < [shown.x[-1], shown.y[-1]]).all()


def test_it_draws_again_on_axes_it_is_given():
    found = minimize(beale, STARTS, optimizer=Newton(), return_path=True)
    _, ax = plt.subplots()
    shown = TrajectoryDisplay.from_results(beale, {"Newton": found}, ax=ax, legend=False)
    assert shown.ax_ is ax
    assert ax.get_legend() is None
    assert shown.plot(levels=5).ax_ is not ax


def test_optimizers_of_one_name_are_labelled_by_all_that_they_are():
    shown = TrajectoryDisplay.from_function(beale, STARTS, [Adam(0.1), Adam(0.01)], max_iter=2)
    assert [label[:22] for label in shown.paths] == [
        "Adam(learning_rate=0.1",
        "Adam(learning_rate=0.0",
    ]
    assert list(TrajectoryDisplay.from_function(beale, STARTS, "newton").paths) == ["newton"]


def test_walls_that_are_infinite_leave_the_rest_in_view():
    def walled(x):
        return x.square().sum(-1) - x[..., 0].log()

    start = torch.tensor([[1.0, 1.0]])
    shown = TrajectoryDisplay.from_function(
        walled, start, ["newton"], max_iter=5, bounds=((0, 1), (0, 1))
    )
    assert np.isinf(shown.values[:, 0]).all()
    low, high = shown.contours_.levels[[0, -1]]
    assert high - low > 3
    assert shown.paths["newton"].shape[1:] == (1, 2)


def test_functions_of_one_point_may_decide_by_their_values():
    def either(x):
        return x.square().sum() if x.sum() > 0 else 2 * x.square().sum()

    shown = TrajectoryDisplay.from_function(either, [1.0, 2.0], ["newton"], grid_resolution=10)
    corner = either(torch.tensor([shown.x[0], shown.y[0]]))
    assert shown.values[0, 0] == pytest.approx(float(corner))


def test_results_that_cannot_be_shown():
    with pytest.raises(ValueError, match="no result to show"):
        TrajectoryDisplay.from_function(beale, STARTS, [])
    with pytest.raises(ValueError, match=r"result 'a' has no path: .*return_path=True"):
        TrajectoryDisplay.from_results(beale, {"a": minimize(beale, [1.0, 1.0], max_iter=1)})
    with pytest.raises(ValueError, match="has 3 variables; a TrajectoryDisplay shows the plane"):
        TrajectoryDisplay.from_function(lambda x: x.square().sum(), [1.0, 1.0, 1.0], ["newton"])
