"""A study's JSON form: what the database holds of it must give the same study back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasd.domain.study import (
    BudgetSpec,
    DataSpec,
    Direction,
    EvaluationSpec,
    LimitSpec,
    MeasureSpec,
    ObjectiveSpec,
    SpaceSpec,
    StrategySpec,
    StudySpec,
    TrainSpec,
)
from nasd.studyfile import changes, spec_from_json, spec_to_json

positive = st.floats(min_value=1e-6, max_value=1e9)
counts = st.integers(1, 10**6)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
options = st.one_of(st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), texts)
objectives = st.dictionaries(
    st.sampled_from(["val_error", "val_loss", "params", "flops"]),
    st.builds(
        ObjectiveSpec,
        direction=st.sampled_from(Direction),
        unit=st.none() | texts,
        worst=st.none() | positive,
        best=st.none() | positive,
    ),
    min_size=1,
)
limits = st.builds(LimitSpec, of=texts, max=positive, on=st.none() | texts)
specs = st.builds(
    StudySpec,
    name=texts,
    seed=st.integers(0, 2**63 - 1),
    data=st.builds(DataSpec, use=texts, seed=st.integers(0, 9)),
    space=st.builds(
        SpaceSpec,
        kind=texts,
        params=st.dictionaries(texts, st.lists(options, max_size=3).map(tuple), max_size=3),
    ),
    train=st.builds(TrainSpec, steps=counts, lr=positive, time_limit_s=st.none() | positive),
    measure=st.builds(MeasureSpec, windows=counts, window_s=positive),
    evaluation=st.none() | st.builds(EvaluationSpec, run=st.just("a.b:c"), time_limit_s=st.none() | positive),
    objectives=objectives,
    limits=st.lists(limits, max_size=2).map(tuple),
    strategy=st.builds(StrategySpec, population=st.integers(4, 99), in_flight=st.none() | counts),
    budget=st.builds(BudgetSpec, trials=counts, time_s=st.none() | positive),
)


@given(specs)
def test_a_study_survives_json_exactly(spec):
    """Types included: an option 1.0 that came back as 1 would be another architecture's key."""
    text = json.dumps(spec_to_json(spec), sort_keys=True)  # JSONB keeps no key order either
    back = spec_from_json(json.loads(text))

    assert back == spec
    assert list(back.objectives) == list(spec.objectives)
    assert repr(dict(sorted(back.space.params.items()))) == repr(dict(sorted(spec.space.params.items())))


@given(specs, specs)
def test_there_are_changes_exactly_where_studies_differ(old, new):
    """A change that goes unnamed would let a study mean two things."""
    assert changes(old, old) == []
    assert bool(changes(old, new)) == (old != new or list(old.objectives) != list(new.objectives))


def test_what_is_no_study_is_refused():
    """A row from elsewhere must not become a half-right study."""
    with pytest.raises(ValueError, match="objectives"):
        spec_from_json({"name": "x"})
