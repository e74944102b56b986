"""Random lives of a study of several device kinds: absent boards, late values, kinds that join, crashes."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from study_life import Life, brute_force, figures
from toy_study import SPACE, toy_parts, toy_spec, toy_study, toy_values

from nasd.controller.advance import Fleet, advance
from nasd.controller.mind import REFUNDED, StudyMind
from nasd.controller.replay import replay
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.domain.study import LimitSpec
from nasd.domain.study_search import Scope
from nasd.ports.trials import StudyState
from nasd.strategies import KNOWN
from nasd.strategies.by_kind import SERVES, Shown, shown_name
from nasd.studyfile import with_kind

PI5, ORIN = DeviceKind("pi5"), DeviceKind("orin")
ACTIONS = st.lists(
    st.sampled_from([*["tick", "relax", "finish"] * 2, "late", "lose", "fault", "revise", "crash", "go", "come"]),
    max_size=120,
)
KINDS = st.sampled_from([(PI5,), (LOCAL, PI5), (PI5, ORIN), (LOCAL, PI5, ORIN)])


def lived(actions: list[str], **spec: object) -> Life:
    life = Life(**spec)
    for nth, action in enumerate(actions):
        life.do(action, nth)
    return life


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    actions=ACTIONS,
    kinds=KINDS,
    in_flight=st.integers(1, 6),
    trials=st.integers(1, 20),
    rounds=st.integers(1, 2),
    use=st.sampled_from(["random", "nsga2"]),
    limits=st.sampled_from([(), (LimitSpec(of="latency_ms", max=3, scope=Scope.DEVICE),)]),
)
def test_any_life_of_a_study_of_several_kinds_keeps_its_laws(actions, **spec):
    """Each front is what brute force finds in the rows, whoever was away when; every proposal is made again."""
    life = lived(actions, **spec)
    life.check_laws()
    life.play_out()
    life.check_laws()
    assert life.row.study.state is StudyState.COMPLETED
    assert len([trial for trial in life.row.trials if trial.state not in REFUNDED]) == spec["trials"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=ACTIONS, kinds=KINDS, trials=st.integers(1, 20))
def test_a_rebuilt_mind_of_several_kinds_is_the_one_that_crashed(actions, **spec):
    """Whose turn it is must come back from rows, like all else."""
    life = lived([action for action in actions if action != "crash"], **spec)
    life.tick()
    if life.row.study.state is StudyState.RUNNING:
        rebuilt = life.rebuilt()
        assert figures(life.mind) == figures(rebuilt)
        assert life.mind.propose() == rebuilt.propose()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=ACTIONS, kinds=KINDS, in_flight=st.integers(1, 4))
def test_no_kind_is_served_twice_more_than_another(actions, kinds, **spec):
    """Deficit round-robin: what a crash or a lost trial takes from a kind it gets back."""
    life = lived(actions, kinds=kinds, trials=24, **spec)
    life.play_out()
    learned = Counter(
        trial.new.proposal.notes[SERVES]
        for trial in life.row.trials
        if SERVES in trial.new.proposal.notes and trial.state not in REFUNDED
    )
    if len(kinds) == 1:
        assert not learned
    else:
        counts = [learned[kind] for kind in kinds]
        # the last losses may be those of one kind, each refunded to it while others are under way
        assert max(counts) - min(counts) <= 1 + spec["in_flight"]
        assert sum(counts) >= 24 - 3  # a lost baseline makes room for another


def test_turns_alternate_and_baselines_serve_all():
    """Rows explain each proposal: a reader sees whose front it was made for."""
    life = Life(kinds=(LOCAL, PI5), trials=9, in_flight=1)
    life.play_out()
    served = [trial.new.proposal.notes.get(SERVES) for trial in life.row.trials]
    assert served == [None] * 3 + [LOCAL, PI5] * 3


def test_a_kind_sees_its_own_latency_under_its_plain_name_and_breaks_its_own_limits():
    """A strategy made for one device must be told of that device, not of whichever is called plain."""
    spec = toy_spec(kinds=(LOCAL, PI5), limits=(LimitSpec(of="latency_ms", on=PI5, max=0.001, scope=Scope.DEVICE),))
    parts = toy_parts(toy_study(spec))
    life = Life(kinds=(LOCAL, PI5), trials=6, limits=spec.limits)
    life.play_out()
    history = life.rebuilt().history
    shown = {kind: Shown(part).after(history) for kind, part in parts.strategy._parts.items()}

    for number in range(6):
        values = life.row.trials[number].values
        assert shown[PI5].losses[number, 1] == values["latency_ms@pi5"]
        assert shown[LOCAL].losses[number, 1] == values["latency_ms"]
    assert (shown[PI5].violations > 0).all()
    assert not shown[LOCAL].violations.any()
    assert not life.rebuilt().fronts[PI5].members
    assert life.rebuilt().fronts[LOCAL].members
    assert shown_name("latency_ms", PI5) == "latency_ms@local"


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_front_is_filled_in_when_its_board_comes_late(rounds):
    """B is away for 30 trials: the search goes on for A, and B's front is made of what it measures then."""
    life = Life(kinds=(LOCAL, PI5), trials=60, in_flight=4, rounds=rounds)
    life.go([PI5])
    while len(life.row.facts) < 30:
        life.tick()
        life.finish()
    mind = life.rebuilt()
    assert mind.fronts[LOCAL].members == brute_force(mind, LOCAL)
    assert not mind.fronts[PI5].members
    life.play_out()
    life.check_laws()
    mind = life.rebuilt()
    completed = [trial for trial in life.row.trials if trial.state is State.COMPLETED]
    assert len(mind.fronts[PI5].members) > 0
    assert all("latency_ms@pi5" in trial.values for trial in completed)
    assert mind.fronts[PI5].members == brute_force(mind, PI5)
    assert mind.fronts[PI5].box is not None


@pytest.mark.parametrize("use", sorted({*KNOWN} - {"gp"}))  # its asks are too dear here
def test_every_strategy_serves_two_kinds_and_is_made_again_from_rows_or_from_its_caches(use):
    """One cache a kind, kept together: a resume from it says what the rows say."""
    life = Life(kinds=(LOCAL, PI5), trials=34, in_flight=3, use=use)
    for nth in range(400):
        if nth == 40:
            life.go([PI5])
        if nth == 70:
            life.go([])
        life.tick()
        life.finish()
        if len(life.row.facts) > 28:
            break
    mind = life.mind
    expected, kept = mind.propose(), json.loads(json.dumps(mind.parts.strategy.cache()))
    restored = life.rebuilt()
    if kept is not None:
        restored.parts.strategy.restore(*kept)
    assert restored.propose() == expected == life.rebuilt().propose()
    trials, facts = life.store.history(life.study.id)
    assert replay(StudyMind(toy_parts(life.row.study)), trials, facts) == []
    damaged = life.rebuilt()
    damaged.parts.strategy.restore(3, {"kinds": {"pi5": [1], "local": "x", "other": [1, {}], "orin": 3}})
    assert damaged.propose() == expected


@pytest.mark.parametrize("use", ["nsga2", "aging-evolution", "reinforce"])
def test_late_values_are_results_for_the_strategy_of_their_board(use):
    """What a board measures late must breed as if it had come at once: revisions never make an aging member."""
    life = Life(kinds=(LOCAL, PI5), trials=40, in_flight=2, use=use)
    life.go([PI5])
    while len(life.row.facts) < 20:
        life.tick()
        life.finish()
    part = life.mind.parts.strategy._parts[PI5]
    partly = Shown(part).after(life.mind.history)
    assert {fact.kind for fact in partly.facts} == {"revision"}
    life.play_out()

    shown = Shown(part).after(life.rebuilt().history)
    assert [fact.trial for fact in shown.facts if fact.kind == "result"].count(0) == 1
    assert {fact.trial for fact in shown.facts if fact.kind == "result"} == set(range(40))
    served = [trial.new.proposal for trial in life.row.trials if trial.new.proposal.notes.get(SERVES) == PI5]
    if use != "reinforce":  # it has no parents
        assert any(parent < 20 for proposal in served for parent in proposal.parents)


@pytest.mark.parametrize("use", sorted({*KNOWN} - {"gp"}))
def test_what_this_machine_measured_late_is_made_again_after_a_kind_joined(use):
    """A trial that ended without its latency: its value is the result for the strategy, alone or beside others."""
    life = Life(trials=32, in_flight=3, use=use)
    life.go([LOCAL])
    for _ in range(300):
        life.tick()
        life.finish()
        life.relax(0)
        if len(life.row.facts) >= 20:
            break
    life.play_out()
    trials, facts = life.store.history(life.study.id)
    study = life.row.study
    assert "revision" in {fact.kind for fact in facts}
    assert replay(StudyMind(toy_parts(study)), trials, facts) == []

    joined = replace(study, spec=with_kind(study.spec, PI5, None), joined={LOCAL: 0, PI5: len(trials)})

    assert replay(StudyMind(toy_parts(joined)), trials, facts) == []


@pytest.mark.parametrize("seed", range(6))
def test_a_late_value_of_another_device_costs_no_round(seed):
    """It is a fact of the same trial as the round that is on its way, and must not be taken for its result."""
    random = np.random.default_rng(seed)
    life = Life(kinds=(LOCAL, PI5), trials=20, in_flight=3, rounds=3, use="random")
    for nth in range(400):
        if nth % 15 == 0:
            life.go([PI5] if nth % 30 == 0 else [])
        life.do(str(random.choice(["tick", "finish", "late", "tick", "relax"])), int(random.integers(20)))
    life.play_out()

    measured = Counter(
        (each.new.device_kind, each.number)
        for each in life.world.evaluations
        if each.new.stage is Stage.MEASURE and each.state is State.COMPLETED
    )
    fronts = life.rebuilt().fronts
    assert {measured[kind, number] for kind in fronts for number in fronts[kind].members} == {3}


def test_a_study_without_its_board_ends_where_it_is_told_to_and_says_so():
    """A board that never returns must not hang a study whose owner said that it need not."""
    life = Life(kinds=(LOCAL, PI5), trials=8)
    life.go([PI5])
    for _ in range(200):
        life.tick()
        life.finish()
    assert life.row.study.state is StudyState.RUNNING  # it waits: status says for whom
    n_open = life.store.n_open(life.study.id)
    assert n_open == {PI5: 8}
    step = advance(life.rebuilt(), [], target=3, fleet=Fleet(frozenset({PI5}), n_open, give_up=True))
    life.store.apply(life.epoch, step)

    assert life.row.study.state is StudyState.COMPLETED
    assert life.row.reason == "its budget of 8 trials is used; 8 measurements on pi5 given up: no worker came"
    assert {each.state for each in life.world.evaluations if each.new.device_kind == PI5} == {State.CANCELLED}


def test_the_toy_kinds_rank_networks_differently():
    """Two kinds that agree would make two equal fronts, and the tests above would show little."""
    some = [SPACE.sample(np.random.default_rng(seed)) for seed in range(40)]
    one, other = (
        [next(iter(toy_values(each, Stage.MEASURE, kind=kind).values())) for each in some] for kind in (LOCAL, PI5)
    )
    pairs = [(a, b) for a in range(40) for b in range(a)]
    agree = sum((one[a] - one[b]) * (other[a] - other[b]) > 0 for a, b in pairs) / len(pairs)
    assert agree < 0.95
