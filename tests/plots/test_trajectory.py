"""The data of the pictures, and what is refused."""

import matplotlib
import numpy as np
import pytest

from skbasics import Adam, Momentum, Newton, TrajectoryDisplay, minimize
from tests.optim.functions import beale

matplotlib.use("agg")
plt = pytest.importorskip("matplotlib.pyplot")
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
    assert shown.values.shape == (200, 200)
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


def test_results_that_cannot_be_shown():
    with pytest.raises(ValueError, match=r"result 'a' has no path: .*return_path=True"):
        TrajectoryDisplay.from_results(beale, {"a": minimize(beale, [1.0, 1.0], max_iter=1)})
    with pytest.raises(ValueError, match="has 3 variables; a TrajectoryDisplay shows the plane"):
        TrajectoryDisplay.from_function(lambda x: x.square().sum(), [1.0, 1.0, 1.0], ["newton"])
