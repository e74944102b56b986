"""Whether a study's rows are what an undisturbed search leaves: nothing lost, doubled, out of order or unexplained."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from database import Database

from nasd.app.replay import replay_study
from nasd.domain.lifecycle import FINAL, Event, State, after, fold
from nasd.domain.pareto import non_dominated

LANDSCAPE = {"cost": 1, "gain": -1, "params": 1}  # objective -> sign; as in `fault_system.STUDY`

_EVENTS = {  # of the table -> of the life cycle
    "leased": Event.LEASED,
    "completed": Event.MEASURED,
    "pruned": Event.STOPPED_EARLY,
    "infeasible": Event.CANDIDATE_FAULT,
    "given_back": Event.DRAINED,
    "cancelled": Event.CANCELLED,
}


def assert_study_is_sound(database: Database, study: str = "study", *, trials: int = 40) -> None:
    """Every invariant of a completed study whose evaluation can't fail.

    Args:
        database: its rows, as the owner.
        study: its name.
        trials: its budget.
    """
    _assert_budget_is_exact(database, study, trials)
    _assert_one_result_an_evaluation(database, study)
    _assert_order_is_gap_free(database, study)
    _assert_events_explain_every_state(database, study)
    _assert_front_is_brute_force(database, study)
    _assert_proposals_replay(database, study, trials)


def _assert_budget_is_exact(database: Database, study: str, trials: int) -> None:
    ((state, n_trials, n_charged, n_completed, learned_seq),) = database.rows(
        "select state, n_trials, n_charged, n_completed, learned_seq from nasd.studies where study = %s", study
    )
    assert (state, n_trials, n_charged, n_completed, learned_seq) == ("completed", trials, trials, trials, trials)
    numbers = [
        number for (number,) in database.rows("select trial from nasd.trials where study = %s order by 1", study)
    ]
    assert numbers == list(range(trials))
    keys = database.rows("select count(distinct architecture_key) from nasd.trials where study = %s", study)
    assert keys == [(trials,)]


def _assert_one_result_an_evaluation(database: Database, study: str) -> None:
    """One accepted attempt, whose measurements alone are current; no lease is left."""
    rows = database.rows(
        "select e.evaluation, e.state, e.attempt, "
        "array(select a.ended_how from nasd.attempts as a where a.evaluation = e.evaluation order by a.attempt), "
        "array(select a.attempt from nasd.attempts as a where a.evaluation = e.evaluation order by a.attempt) "
        "from nasd.evaluations as e where study = %s",
        study,
    )
    accepted = {}
    for evaluation, state, attempt, endings, attempts in rows:
        assert state == "completed", (evaluation, state)
        assert attempts == list(range(1, attempt + 1)), (evaluation, attempts)
        assert endings.count("completed") == 1, (evaluation, endings)
        assert set(endings) <= {"completed", "expired", "given_back", "superseded"}, (evaluation, endings)
        accepted[evaluation] = endings.index("completed") + 1
    current = Counter(
        (evaluation, attempt, name)
        for evaluation, attempt, name in database.rows(
            "select evaluation, attempt, name from nasd.measurements where study = %s and status = 'current'", study
        )
    )
    expected = {(evaluation, attempt, name) for evaluation, attempt in accepted.items() for name in ("cost", "gain")}
    assert current == Counter(expected)
    assert database.rows("select count(*) from nasd_core.lease") == [(0,)]


def _assert_order_is_gap_free(database: Database, study: str) -> None:
    facts = database.rows(
        "select f.seq, f.kind, f.number from nasd_core.fact as f join nasd_core.study as s on s.id = f.study_id "
        "where s.name = %s order by seq",
        study,
    )
    assert [seq for seq, _, _ in facts] == list(range(1, len(facts) + 1))
    assert {kind for _, kind, _ in facts} == {"result"}
    learned = dict(database.rows("select trial, learned_seq from nasd.trials where study = %s", study))
    assert {number: seq for seq, _, number in facts} == learned
    proposed = database.rows("select trial, proposed_from from nasd.trials where study = %s order by 1", study)
    assert [seq for _, seq in proposed] == sorted(seq for _, seq in proposed)
    assert all(seq < learned[number] for number, seq in proposed)


def _assert_events_explain_every_state(database: Database, study: str) -> None:
    """The events of each evaluation, put through the life cycle's table, lead to the state that its row has."""
    rows = database.rows(
        "select evaluation, trial, kind, attempt, data from nasd.events where study = %s order by event", study
    )
    states: dict[int, State] = defaultdict(lambda: State.QUEUED)
    leases, proposed = Counter[int](), Counter[int]()
    for evaluation, trial, kind, attempt, data in rows:
        if evaluation is None:
            proposed[trial] += kind == "proposed"
            continue
        if kind == "leased":
            leases[evaluation] += 1
            assert attempt == leases[evaluation], (evaluation, "attempts are counted without a gap")
        if kind == "superseded":
            continue  # refused: nothing about the evaluation changed
        event = _EVENTS.get(kind) or (Event.ATTEMPTS_SPENT if data.get("next") == "failed" else Event.WORLD_FAULT)
        states[evaluation] = after(states[evaluation], event)
    stored = database.rows("select evaluation, trial, state, attempt from nasd.evaluations where study = %s", study)
    assert {evaluation: states[evaluation] for evaluation, _, _, _ in stored} == {row[0]: row[2] for row in stored}
    assert {evaluation: leases[evaluation] for evaluation, _, _, _ in stored} == {row[0]: row[3] for row in stored}
    folded: dict[int, list[State]] = defaultdict(list)
    for _, trial, state, _ in stored:
        folded[trial].append(State(state))
    trials = dict(database.rows("select trial, state from nasd.trials where study = %s", study))
    assert {trial: fold(found) for trial, found in folded.items()} == trials
    assert set(trials.values()) <= FINAL
    assert proposed == Counter(list(trials))


def _assert_front_is_brute_force(database: Database, study: str) -> None:
    rows = database.rows(
        "select trial, objectives from nasd.trials where study = %s and state = 'completed' order by trial", study
    )
    losses = np.array([[sign * row[1][name]["value"] for name, sign in LANDSCAPE.items()] for row in rows])
    expected = [row[0] for row, is_member in zip(rows, non_dominated(losses), strict=True) if is_member]
    front = database.rows("select trial from nasd.pareto_front where study = %s order by trial", study)
    assert [trial for (trial,) in front] == expected
    ((size,),) = database.rows(
        "select front_size from nasd.hypervolume_history where study = %s order by learned_seq desc limit 1", study
    )
    assert size == len(expected)


def _assert_proposals_replay(database: Database, study: str, trials: int) -> None:
    replayed = replay_study(database.controller, study)
    assert [str(difference) for difference in replayed.differences] == []
    assert (replayed.n_proposals, replayed.n_facts) == (trials, trials)


def proposals(database: Database, study: str = "study") -> list[tuple]:
    """All that a search decided and found, without times, ids and workers: for comparing two searches bit by bit."""
    return database.rows(
        "select trial, architecture_key, operator, parents, proposed_from, learned_seq, seed, violation, objectives "
        "from nasd.trials where study = %s order by trial",
        study,
    )
