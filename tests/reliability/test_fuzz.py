"""Whatever is passed, an estimator answers rightly or refuses clearly, and leaves no trace.

Each case takes what a careful user would pass, and makes up to three things of it odd: shape,
dtype, values, layout, container, targets, weights, parameters, the calls, or the rows to
predict. `tests/reliability/law.py` says what must hold.

A run of the suite tries the same cases every time. To try others, and twenty times as many::

    pytest tests/reliability/test_fuzz.py --hypothesis-profile=long --hypothesis-seed=1

The profile "long" draws anew, from the seed where there is one. A case that fails is printed as
code; `uphold(specimen, Case(...))` tries it again.
"""

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.reliability import cases
from tests.reliability.cases import Case
from tests.reliability.law import uphold
from tests.reliability.specimens import SPECIMENS

COMMON = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}
FEW = settings(max_examples=48, derandomize=True, **COMMON)

ODD = {
    "rows": cases.ROWS,
    "columns": cases.COLUMNS,
    "dtype": cases.DTYPES,
    "values": cases.VALUES,
    "order": cases.ORDERS,
    "container": cases.CONTAINERS,
    "target": cases.TARGETS,
    "weights": cases.WEIGHTS,
    "call": cases.CALLS,
    "later": cases.LATER,
}


@st.composite
def drawn(draw, specimen):
    parameters = cases.parameter_values(specimen)
    aspects = [*ODD, "parameters", "other parameters"]
    odd = draw(st.lists(st.sampled_from(aspects), min_size=1, max_size=3, unique=True))
    chosen = {name: draw(st.sampled_from(ODD[name])) for name in odd if name in ODD}
    changed = {}
    for _ in range(len(odd) - len(chosen)):
        name = draw(st.sampled_from(sorted(parameters)))
        changed[name] = draw(st.sampled_from(parameters[name]))
    return Case(**chosen, parameters=changed, seed=draw(st.integers(0, 3)))


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
def test_what_is_not_odd_is_answered(specimen):
    assert uphold(specimen, Case()) == "answered"


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
def test_every_case_is_answered_or_refused(specimen):
    many = settings.get_current_profile_name() == "long"

    @(settings(settings.get_profile("long"), **COMMON) if many else FEW)
    @given(case=drawn(specimen))
    def run(case):
        note(repr(case))
        uphold(specimen, case)

    run()
