"""What an exchange reads does not grow with the history."""

from __future__ import annotations

from database import Scene, completed

from nasd.domain.measurement import Stage

TABLES = ("trial", "evaluation", "attempt", "measurement", "lease")
READ = "select sum(idx_tup_read)::bigint from pg_stat_user_indexes where relname = any(%s)"
READ_WHOLE = "select sum(seq_tup_read)::bigint from pg_stat_user_tables where relname = any(%s)"


def rows_read(scene: Scene) -> int:
    scene.leases._value("select pg_stat_force_next_flush()")
    scene.leases._value("select 1")
    (by_index,), (whole,) = (scene.database.rows(query, list(TABLES))[0] for query in (READ, READ_WHOLE))
    return int(by_index) + int(whole)


def test_an_exchange_reads_only_rows_of_its_own(scene: Scene):
    """The ten thousandth result costs what the tenth did: no plan walks an index from end to end."""
    study = scene.study()
    for number in range(8):
        scene.trial(study, number, stages=(Stage.TRAIN,))
    scene.database.rows(
        """insert into nasd_core.trial (study_id, number, state, architecture, architecture_key, fidelity, seed,
                                        operator, proposed_from, strategy, strategy_version, finished_at)
           select 1, i, 'completed', '{}', i::text, 1, 1, 'sample', 0, 'random', '1', now()
           from generate_series(100, 5000) as i"""
    )
    scene.database.rows(
        "insert into nasd_core.evaluation (study_id, trial_id, stage, device_kind, state, attempt, finished_at) "
        "select 1, id, 'train', 'local', 'completed', 1, now() from nasd_core.trial where number >= 100"
    )
    scene.database.rows("analyze")
    worker = scene.worker()
    leases = scene.leases.exchange(worker, [], 4).leases
    before = rows_read(scene)

    scene.leases.exchange(worker, [(lease, completed()) for lease in leases], 4)

    assert len(leases) == 4
    assert rows_read(scene) - before < 400
