"""The schema says what the code says: models, life cycle, plans, rights, impossible states."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from database import Database, Scene, at_database, completed
from sqlalchemy import NullPool, create_engine, text
from sqlmodel import SQLModel

import migrations
import nasd.store.tables
import nasd.store.tables_fleet
import nasd.store.tables_record  # noqa: F401 - registers its tables
from nasd.domain.data import DataFacts
from nasd.domain.ids import LOCAL
from nasd.domain.lifecycle import State, fold
from nasd.domain.measurement import Stage
from nasd.domain.study import BudgetSpec, ObjectiveSpec, StudySpec
from nasd.errors import Deposed, Unavailable
from nasd.ports.lease import WorkerInfo
from nasd.ports.trials import Step
from nasd.store import migrate
from nasd.store.studies import PgStudies
from nasd.studyfile import spec_to_json


def test_the_migrated_schema_is_the_models(scene: Scene):
    """The classes document the tables; they would lie if they could drift."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(scene.database.admin))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, _: (
                    name == "nasd_core" if kind == "schema" else name != "alembic_version"
                ),
            },
        )
        differences = compare_metadata(context, SQLModel.metadata)
    engine.dispose()

    assert differences == []


def test_sql_folds_states_as_python_does(scene: Scene):
    """A trial's state is computed in the database; the table in domain/lifecycle.py is the law."""
    subsets = [set(some) for n in range(1, 8) for some in combinations(State, n)]
    with psycopg.connect(scene.database.admin) as connection:
        folded = [
            connection.execute("select nasd_core.fold(%s)", [[str(s) for s in some]]).fetchone()[0] for some in subsets
        ]

    assert folded == [str(fold(some)) for some in subsets]


@pytest.mark.parametrize(
    "statement",
    [
        "update nasd_core.evaluation set state = 'completed'",
        "update nasd_core.evaluation set state = 'running'",
        "update nasd_core.evaluation set state = 'sleeping'",
        "update nasd_core.evaluation set finished_at = now()",
        "update nasd_core.evaluation set spent = 1",
        "update nasd_core.trial set state = 'completed'",
        "update nasd_core.trial set pending = 'result'",
        "update nasd_core.trial set violation = -1",
        "update nasd_core.study set state = 'completed'",
        "update nasd_core.study set trials_budget = 0",
    ],
)
def test_impossible_states_are_refused(scene: Scene, statement: str):
    scene.trial(scene.study(), stages=(Stage.TRAIN,))

    with pytest.raises(psycopg.errors.CheckViolation):
        scene.database.rows(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "update nasd_core.measurement set value = 0",
        "delete from nasd_core.measurement",
        "update nasd_core.event set kind = 'x'",
        "delete from nasd_core.event",
    ],
)
def test_measurements_and_events_are_never_rewritten(scene: Scene, statement: str):
    scene.trial(scene.study(), stages=(Stage.TRAIN,))
    scene.leases.finish(scene.leases.lease_next(scene.worker()), completed())

    with pytest.raises(psycopg.DatabaseError, match="never changed"):
        scene.database.rows(statement)


def test_a_worker_may_only_execute_its_functions(scene: Scene):
    """Whoever steals a worker's credentials can read and write nothing beside its own work."""
    with psycopg.connect(scene.database.worker, autocommit=True) as connection:
        for statement in (
            "select * from nasd_core.trial",
            "insert into nasd_core.measurement default values",
            "select * from nasd.pareto_front",
            "select nasd_core.delete_study(1)",
            "select nasd_api.known_worker(1)",
            "create table nasd_core.x (i int)",
            "create table public.x (i int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_reader_may_only_read_the_views(scene: Scene):
    scene.study()
    with psycopg.connect(scene.database.reader, autocommit=True) as connection:
        views = [
            row[0] for row in connection.execute("select viewname from pg_views where schemaname = 'nasd'").fetchall()
        ]
        for view in views:
            connection.execute(f"select * from {view}").fetchall()
        for statement in (
            "select * from nasd_core.study",
            "update studies set seed = 1",
            "select nasd_api.beat_v1(1, '{}')",
        ):
            with pytest.raises(psycopg.DatabaseError):
                connection.execute(statement)

    assert {"studies", "trials", "pareto_front", "front_history", "hypervolume_history", "baselines"} <= set(views)


def test_a_deposed_controller_writes_nothing(scene: Scene):
    """A leader that was paused and deposed must not act when it wakes."""
    study = scene.study()
    old = scene.epoch
    scene.leadership.take("another", depose=old)

    with pytest.raises(Deposed):
        scene.trials.apply(old, Step(study=study, used_s=5.0))
    with pytest.raises(Deposed):
        scene.leadership.beat(old)

    assert scene.database.rows("select used_s from studies") == [(0.0,)]


def test_only_one_of_two_standbys_takes_over(scene: Scene):
    first = scene.leadership.take("a", depose=scene.epoch)
    second = scene.leadership.take("b", depose=scene.epoch)

    assert first == scene.epoch + 1
    assert second is None


@pytest.fixture
def first(database: Database) -> Iterator[Database]:
    """A database as the first schema left it."""
    name = f"{urlsplit(database.admin).path[1:]}_first"
    with psycopg.connect(database.admin, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    made = Database(**{role: at_database(url, name) for role, url in asdict(database).items()})
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(made.admin), poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("create schema nasd_core"))
        connection.commit()
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes.update(connection=connection, role_prefix="nasd")
        command.upgrade(config, "0001")
        connection.commit()
    yield made
    with psycopg.connect(database.admin, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


def test_studies_of_the_first_schema_are_still_read(first: Database):
    """An upgrade must not take away a year's results; their workers need the packages that they needed then."""
    spec = StudySpec(name="old", objectives={"val_error": ObjectiveSpec()}, budget=BudgetSpec(trials=10))
    space = {"kind": "mlp", "params": {"width": [128, 256]}}
    evaluation = {"run": "cam.far.away:run", "time_limit_s": None}
    data = {"name": "digits", "seed": 0, "input_shape": [64], "n_classes": 10, "n_train": 7, "n_validation": 2}
    data |= {"n_test": 2, "majority_error": 0.9, "sha256": {"train": "ab"}}
    first.rows(
        "insert into nasd_core.study (name, seed, spec, data, recipe, strategy, trials_budget) "
        "values (%s, 0, %s, %s, 'ab', 'nsga2', 10)",
        "old",
        json.dumps({**spec_to_json(spec), "space": space, "evaluation": evaluation}),
        json.dumps(data),
    )

    assert migrate.upgrade(first.admin, role_prefix="nasd") == ("0001", migrate.known()[-1])

    found = PgStudies(first.controller).find("old")
    assert found is not None
    assert found.spec.space.params["width"].choice == (128, 256)
    assert first.rows("select packages from nasd_core.study") == [(["cam"],)]
    assert found.data == DataFacts(
        name="digits",
        seed=0,
        input_shape=(64,),
        n_outputs=10,
        n_train=7,
        n_validation=2,
        n_test=2,
        trivial_error=0.9,
        sha256={"train": "ab"},
    )


def test_a_worker_of_the_first_protocol_is_refused(first: Database):
    """It could not read a new study's recipe: it would lease every trial and give each a failure."""
    migrate.upgrade(first.admin, role_prefix="nasd")
    info = {"protocol": 1, "name": "w", "host": "h", "device_kind": "local", "stages": ["run"], "studies": []}
    with psycopg.connect(first.worker) as connection, pytest.raises(psycopg.Error, match="protocol 3, the worker 1"):
        connection.execute("select nasd_api.register_v1(%s)", [json.dumps({**info, "facts": {}})])

    assert first.rows("select count(*) from nasd_core.worker") == [(0,)]


def test_a_stall_counts_evaluations_and_not_devices(scene: Scene):
    """Two boards of a kind that are both away do not make one waiting evaluation two."""
    study = scene.study()
    scene.trial(study, stages=(Stage.TRAIN,))
    for host in ("one", "two"):
        info = WorkerInfo(name=host, host=host, device_kind=LOCAL, stages=(Stage.MEASURE,), studies=())
        scene.leases.register(info)

    [(stall,)] = scene.database.rows("select stall from studies")

    assert stall == "stalled: 1 evaluation waits for a worker on local that can train"


def test_a_database_of_a_newer_program_is_refused(scene: Scene):
    scene.database.rows("update nasd_core.alembic_version set version_num = '9999'")

    with pytest.raises(Unavailable, match="newer than this nasd"):
        scene.studies.names()
    with pytest.raises(Unavailable, match="newer than this nasd"):
        migrate.upgrade(scene.database.admin, role_prefix="nasd")


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            """select id from nasd_core.evaluation where state = 'queued' and device_kind = 'local'
               order by priority desc, id limit 1""",
            "evaluation_to_lease",
        ),
        (
            """select id from nasd_core.trial where study_id = 1 and pending is not null
               order by finished_at, id limit 64""",
            "trial_to_learn",
        ),
        ("select * from nasd_core.front_member where study_id = 1 and left_seq is null", "front_now"),
        ("select * from nasd_core.measurement where trial_id = 7", "measurement_of_trial"),
    ],
)
def test_the_hot_path_reads_its_index(scene: Scene, query: str, index: str):
    """Cost must not grow with history: each hot query has an index made for it."""
    scene.database.rows(
        "insert into nasd_core.study (name, seed, spec, recipe, strategy) values ('big', 1, '{}', 'r', 'random')"
    )
    scene.database.rows(
        """insert into nasd_core.trial (study_id, number, state, architecture, architecture_key, fidelity, seed,
                                        operator, proposed_from, strategy, strategy_version, finished_at)
           select 1, i, 'completed', '{}', i::text, 1, 1, 'sample', 0, 'random', '1', now()
           from generate_series(1, 5000) as i"""
    )
    scene.database.rows(
        "insert into nasd_core.evaluation (study_id, trial_id, stage, device_kind, state, attempt, finished_at) "
        "select 1, id, 'train', 'local', 'completed', 1, now() from nasd_core.trial"
    )
    scene.database.rows(
        "insert into nasd_core.evaluation (study_id, trial_id, stage, device_kind) "
        "select 1, id, 'measure', case when id / 2 * 2 = id then 'local' else 'pi5' end from nasd_core.trial limit 300"
    )
    scene.database.rows(
        "insert into nasd_core.front_member (study_id, device_kind, trial_id, entered_seq, left_seq, left_because) "
        "select 1, 'local', id, number, number, 'dominated' from nasd_core.trial"
    )
    scene.database.rows(
        """insert into nasd_core.measurement (study_id, trial_id, evaluation_id, attempt, worker_id, device_kind, name,
                                              value, unit)
           select 1, trial_id, id, 1, 1, 'local', 'val_error', 0.1, 'fraction' from nasd_core.evaluation"""
    )
    scene.database.rows("analyze")

    plan = "\n".join(row[0] for row in scene.database.rows(f"explain {query}"))

    assert index in plan, plan
