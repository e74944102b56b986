"""Studies whose networks only the built module counts, and studies in which nothing works."""

from dataclasses import replace

from toy_study import SPACE, toy_parts, toy_spec, toy_study, toy_values

from nasd.controller.advance import HOPELESS_AFTER, advance
from nasd.controller.mind import StudyMind
from nasd.domain.ids import LOCAL, TrialId
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.domain.scoring import OBSERVED_AFTER
from nasd.domain.study import LimitSpec, ModelSpec
from nasd.ports.trials import Finished, NewTrial, StudyState


def users_spec(**options):
    spec = toy_spec(**options)
    return replace(spec, model=ModelSpec(build="cam.models:build"), limits=(LimitSpec(of="params", max=10_000),))


def mind_of(spec) -> StudyMind:
    return StudyMind(toy_parts(toy_study(spec)))


def finished(trial: NewTrial, state: State = State.COMPLETED) -> Finished:
    """As a worker measured it: the counts come with the results."""
    architecture = trial.proposal.architecture
    values = {stage: toy_values(architecture, stage) for stage in (Stage.MEASURE, Stage.TRAIN)}
    counted = SPACE.counts(architecture)
    return Finished(
        trial_id=TrialId(trial.number + 1),
        number=trial.number,
        kind="result",
        state=state,
        values={**values[Stage.MEASURE], **values[Stage.TRAIN], **counted} if state is State.COMPLETED else {},
        violation=0.0,
    )


def test_counts_come_from_the_modules_and_count_like_any_other():
    """Objectives, limits, front and score work with parameters that nobody knew ahead."""
    mind = mind_of(users_spec(trials=None, time_s=1e9, in_flight=2))
    step = advance(mind, [], target=2)
    trials, box = list(step.trials), None
    for _ in range(OBSERVED_AFTER + 4):
        step = advance(mind, [finished(trials[len(mind.history.facts)])], target=2)
        trials += step.trials
        box = box or step.reference.get(LOCAL)

    assert all(trial.counts == {} and trial.evaluations for trial in trials)
    front = mind.fronts[LOCAL]
    assert front.members
    assert all(SPACE.counts(trials[number].proposal.architecture)["params"] <= 10_000 for number in front.members)
    assert any(fact.violation > 0 for fact in mind.history.facts)
    assert box is not None
    assert box["names"] == ["val_error", "latency_ms", "params"]
    assert front.score() > 0


def test_a_study_in_which_nothing_works_is_stopped_with_what_to_look_at():
    """Failed trials are refunded, so that a module that can't be imported would cost trials for ever."""
    mind = mind_of(users_spec(trials=20, in_flight=1))
    step = advance(mind, [], target=1)
    for n in range(1, HOPELESS_AFTER + 1):
        assert step.state is None
        step = advance(mind, [finished(step.trials[0], State.FAILED)], target=1)
        assert len(mind.history.facts) == n

    assert step.state == (
        StudyState.STOPPED,
        "its last 12 trials failed; see why with `nasd logs toy 11`, mend it and run it again",
    )
    assert step.cancel_open


def test_one_success_in_between_is_enough_to_go_on():
    """A device that fails now and then is the world's way."""
    mind = mind_of(users_spec(trials=100, in_flight=1))
    step = advance(mind, [], target=1)
    for n in range(3 * HOPELESS_AFTER):
        state = State.COMPLETED if n % HOPELESS_AFTER == HOPELESS_AFTER - 1 else State.FAILED
        step = advance(mind, [finished(step.trials[0], state)], target=1)

    assert step.state is None
