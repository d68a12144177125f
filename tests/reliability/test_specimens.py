"""No estimator of the package is missing from those that the promises are tried on."""

import pytest

import skbasics
from tests.reliability.specimens import SPECIMENS


def test_every_estimator_has_a_specimen():
    public = [getattr(skbasics, name) for name in skbasics.__all__]
    estimators = {
        member.__name__
        for member in public
        if isinstance(member, type) and hasattr(member, "fit") and hasattr(member, "get_params")
    }
    searches = {"GridSearchCV", "RandomizedSearchCV", "StreamPipeline"}
    assert {specimen.kind for specimen in SPECIMENS} == estimators - searches


@pytest.mark.filterwarnings("ignore:.*does not cover the posterior")
def test_names_are_unique_and_every_specimen_predicts_finitely():
    assert len({specimen.name for specimen in SPECIMENS}) == len(SPECIMENS)
    for specimen in SPECIMENS:
        X = specimen.data()[0]
        outputs = specimen.outputs(specimen.fitted(), X)
        assert outputs
        for name, output in outputs.items():
            assert len(output) == len(X), name
            assert output.dtype.kind == "U" or (abs(output) < 1e6).all(), name
