"""A study's JSON form: what the database holds of it must give the same study back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasd.domain.data import Task
from nasd.domain.study import (
    BudgetSpec,
    Compile,
    DataSpec,
    Direction,
    EvaluationSpec,
    LimitSpec,
    MeasureSpec,
    ModelSpec,
    ObjectiveSpec,
    Optimiser,
    ParameterSpec,
    Precision,
    RangeSpec,
    Role,
    ScalarSpec,
    SpaceSpec,
    StrategySpec,
    StudySpec,
    TrainSpec,
    WarmStartSpec,
)
from nasd.studyfile import changes, spec_from_json, spec_to_json

positive = st.floats(min_value=1e-6, max_value=1e9)
counts = st.integers(1, 10**6)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
options = st.one_of(
    st.booleans(), st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), texts
)
functions = st.sampled_from(["cam.models:build", "cam:load"])
shares = st.floats(0, 0.4)
finite = st.floats(allow_nan=False, allow_infinity=False)
parameters = st.builds(
    ParameterSpec,
    choice=st.none() | st.lists(options, max_size=3).map(tuple),
    ordered=st.none() | st.booleans(),
    int_range=st.none() | st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    float_range=st.none() | st.tuples(finite, finite),
    log_range=st.none() | st.tuples(positive, positive),
    each=st.none() | texts,
    when=st.none() | texts,
    otherwise=st.none() | options,
    role=st.sampled_from(Role),
)
data = st.one_of(
    *(
        st.builds(
            DataSpec,
            **{key: value},
            seed=st.integers(0, 9),
            context=st.none() | counts,
            validation=st.floats(0.1, 0.4),
            test=st.floats(0.1, 0.4),
        )
        for key, value in {"use": texts, "load": functions, "files": texts}.items()
    )
)
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
    data=data,
    space=st.builds(
        SpaceSpec,
        kind=texts,
        preset=st.none() | texts,
        params=st.dictionaries(texts, parameters, max_size=3),
        constraints=st.lists(texts, max_size=2).map(tuple),
    ),
    model=st.builds(
        ModelSpec,
        build=st.none() | functions,
        init=st.none() | texts,
        freeze=st.lists(texts, max_size=2).map(tuple),
    ),
    train=st.builds(
        TrainSpec,
        task=st.sampled_from([Task.CLASSIFICATION, Task.LM]),
        steps=counts,
        optimiser=st.sampled_from(Optimiser),
        lr=positive,
        clip_norm=st.none() | positive,
        label_smoothing=shares,
        flip=st.booleans(),
        crop=st.integers(0, 4),
        mixup=shares,
        precision=st.sampled_from(Precision),
        compile=st.sampled_from(Compile),
        validate_every=st.none() | counts,
        metric=st.none() | functions,
        time_limit_s=st.none() | positive,
    ),
    measure=st.builds(MeasureSpec, windows=counts, window_s=positive),
    evaluation=st.none()
    | st.builds(
        EvaluationSpec, run=st.just("a.b:c"), costs=st.none() | st.just("a:c"), time_limit_s=st.none() | positive
    ),
    objectives=objectives.map(lambda some: {**some, "params": ObjectiveSpec()}),
    scalar=st.just({}) | st.builds(ScalarSpec, weight=positive, at=positive).map(lambda each: {"params": each}),
    preference=st.just({}) | st.builds(RangeSpec, worst=positive).map(lambda each: {"params": each}),
    warm_start=st.none()
    | st.builds(
        WarmStartSpec,
        architectures=texts,
        study=st.none() | st.just("another study"),
        most=counts,
        found=st.lists(texts, max_size=2).map(tuple),
    ),
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
    assert repr(dict(back.space.params)) == repr(dict(spec.space.params))


@given(specs, specs)
def test_there_are_changes_exactly_where_studies_differ(old, new):
    """A change that goes unnamed would let a study mean two things."""
    assert changes(old, old) == []
    same_order = all(
        list(a) == list(b) for a, b in [(old.objectives, new.objectives), (old.space.params, new.space.params)]
    )
    assert bool(changes(old, new)) == (old != new or not same_order)


def test_what_is_no_study_is_refused():
    """A row from elsewhere must not become a half-right study."""
    with pytest.raises(ValueError, match="objectives"):
        spec_from_json({"name": "x"})
