"""A mistake in users' code ends its own trial with a stored reason, and nothing else: real processes, real rows."""

import psutil
import pytest
from database import Scene, copy_of
from users_scene import LOAD, METRIC, MODEL, RUN, Users, spec_of

from nasd import data
from nasd.domain.measurement import Stage
from nasd.domain.study import DataSpec

pytestmark = pytest.mark.fault

INFEASIBLE, FAILED = "infeasible", "failed"
LIMIT_S = 1.0

# key of the study file, function, what becomes of its trial and why, a word of the message
MISTAKES = [
    (MODEL, "user_models:wrong_shape", INFEASIBLE, "wrong_shape", "wanted (2, 10), got (2, 7)"),
    (MODEL, "user_models:two_outputs", INFEASIBLE, "wrong_shape", "tuple, not a tensor"),
    (MODEL, "user_models:no_module", INFEASIBLE, "bad_result", "returned dict"),
    (MODEL, "user_models:bad_signature", INFEASIBLE, "bad_signature", "build(config, input_shape, output_shape)"),
    (MODEL, "user_models:answers_nan", INFEASIBLE, "not_finite", "answers NaN"),
    (MODEL, "user_models:wrong_inside", INFEASIBLE, "exception", "fails on inputs (2, 1, 8, 8)"),
    (MODEL, "user_models:raises", INFEASIBLE, "exception", "no such layer"),
    (MODEL, "user_models:fails_while_training", INFEASIBLE, "exception", "only in training"),
    (MODEL, "user_models:ends_with_settings_changed", INFEASIBLE, "exception", "changed my mind"),
    (MODEL, "user_models:exits", INFEASIBLE, "exception", "bad input"),
    (MODEL, "user_models:leaves", INFEASIBLE, "exited", "exit status 3"),
    (MODEL, "user_models:segfault", INFEASIBLE, "crashed", "SIGSEGV"),
    (MODEL, "user_models:endless", INFEASIBLE, "time_limit", "1 s"),
    (MODEL, "user_models:is_not_there", FAILED, "function_missing", "has no is_not_there"),
    (MODEL, "user_broken:build", FAILED, "import_error", "half of it is missing"),
    (MODEL, "user_nowhere:build", FAILED, "function_missing", "no module user_nowhere"),
    (METRIC, "user_functions:metric_raises", INFEASIBLE, "exception", "no such class"),
    (METRIC, "user_functions:metric_nan", INFEASIBLE, "not_finite", "must be finite"),
    (METRIC, "user_functions:metric_of_another_name", INFEASIBLE, "bad_result", "wrong_share"),
    (METRIC, "user_broken:metric", FAILED, "import_error", "half of it is missing"),
    (LOAD, "user_functions:load_raises", FAILED, "data_unavailable", "the camera is off"),
    (LOAD, "user_functions:load_leaves", FAILED, "data_unavailable", "exit status 3"),
    (LOAD, "user_functions:load_endless", INFEASIBLE, "time_limit", "1 s"),
    (LOAD, "user_broken:load", FAILED, "import_error", "half of it is missing"),
    (RUN, "user_functions:reports_nan", INFEASIBLE, "not_finite", "cost = nan"),
    (RUN, "user_functions:a_broken_count", INFEASIBLE, "bad_result", "whole number"),
    (RUN, "user_functions:numbers_too_many", INFEASIBLE, "bad_result", "10001 values"),
    (RUN, "user_functions:raises_the_unprintable", INFEASIBLE, "exception", "a NUL"),
    (RUN, "user_functions:prints_for_ever", INFEASIBLE, "time_limit", "1 s"),
    (RUN, "user_broken:evaluate", FAILED, "import_error", "half of it is missing"),
]
# what is no mistake, though careless: a good answer, and whatever it left behind is gone before the next trial
CARELESS = ["ends_quietly", "closes_its_output", "leaves_children", "returns_twice", "prints_and_prints"]
ALLOWED = "user_functions,user_models,user_broken,user_nowhere"


@pytest.fixture(scope="module")
def users(services, database_template, tmp_path_factory):
    urls = {role: services.database_url(role) for role in ("controller", "worker", "reader")}
    folder = tmp_path_factory.mktemp("users")
    with copy_of(database_template, services.database_url("admin"), urls) as database:
        scene = Scene(database)
        users = Users(scene, folder, data.describe(DataSpec(use="digits")))
        _do_everything(users)
        yield users
        users.close()


def _do_everything(users: Users) -> None:
    """Every mistake with a good trial after it, all done by one worker."""
    for key, dotted, *_ in MISTAKES:
        users.add(spec_of(dotted, key, dotted, time_limit_s=LIMIT_S))
        good = "user_functions:nothing" if key == RUN else "user_models:build"
        users.add(spec_of(f"after {dotted}", RUN if key == RUN else MODEL, good))
    for name in CARELESS:
        users.add(spec_of(name, RUN, f"user_functions:{name}"))
        users.add(spec_of(f"after {name}", RUN, "user_functions:chatty"))
    users.add(spec_of("chatty model", MODEL, "user_models:chatty"))
    users.add(spec_of("own metric", METRIC, "user_functions:wrong_share"))
    users.add(spec_of("around", RUN, "user_functions:looks_around"))
    users.add(spec_of("on", RUN, "user_functions:goes_on"))
    users.add(spec_of("both", MODEL, "user_models:build"), stages=(Stage.MEASURE, Stage.TRAIN), x=3)
    users.add(spec_of("forbidden", RUN, "forbidden_package:evaluate"))
    users.work("--allow", ALLOWED)


@pytest.mark.parametrize("mistake", MISTAKES, ids=[f"{m[0]}-{m[1]}" for m in MISTAKES])
def test_a_mistake_ends_its_own_trial_with_a_reason(users, mistake):
    """The row says what to mend; the next trial finds a worker as good as new."""
    _, dotted, state, reason, word = mistake
    row, after = users.row(dotted), users.row(f"after {dotted}")

    assert (state, reason) == (row.state, row.reason)
    assert word in row.message
    assert row.attempts == (2 if state == FAILED else 1)
    assert (after.state, after.attempts) == ("completed", 1), after.message


def test_what_is_stored_of_a_mistake_is_bounded_and_can_be_stored(users):
    """A message of megabytes, or with characters that Postgres refuses, must not cost the result or a page of log."""
    row = users.row("user_functions:raises_the_unprintable")

    assert len(row.message) < 3_000
    assert len(row.log) <= 64 * 1024
    assert "in raises" in users.row("user_models:raises").log


@pytest.mark.parametrize("name", CARELESS)
def test_what_users_code_leaves_behind_does_not_reach_the_next_trial(users, name):
    """A closed output, an alarm, a changed folder, a child: the next trial prints and answers as if first."""
    row, after = users.row(name), users.row(f"after {name}")

    assert (row.state, row.values["cost"], row.attempts) == ("completed", 1.0, 1)
    assert (after.state, after.attempts) == ("completed", 1)
    assert after.log.endswith("the end\n")


def test_no_process_of_users_code_outlives_its_trial(users):
    """One that does would disturb every measurement after it."""
    pids = [int(pid) for pid in (users.folder / "pids").read_text().split()]

    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


def test_megabytes_are_read_and_their_end_is_kept(users):
    """A full pipe would stop the process that prints; a full row helps nobody."""
    assert users.row("chatty model").state == "completed"
    assert 1_000 < len(users.row("chatty model").log) <= 64 * 1024


def test_a_users_model_is_trained_measured_and_counted(users):
    """Counts come from the real module, once, with the stage that comes first."""
    row = users.row("both")

    assert row.state == "completed", row.log
    assert row.values["params"] == 64 * 7 + 7 + 7 * 10 + 10
    assert row.values["flops"] == 2 * (64 * 7 + 7 * 10)
    assert {"val_error", "latency_ms", "peak_memory_bytes"} <= row.values.keys()


def test_a_metric_of_the_users_own_is_an_objective(users):
    """Its value stands beside those that nasd measures."""
    values = users.row("own metric").values

    assert values["wrong_share"] == pytest.approx(values["val_error"], abs=1e-6)


def test_a_function_sees_data_device_and_steps(users):
    """As numpy arrays; the test split is not among them."""
    row = users.row("around")

    assert row.state == "completed", row.message
    assert row.values == {"cost": 1077.0, "on_cpu": 1.0, "steps": 4.0}


def test_an_attempt_goes_on_from_the_checkpoint_of_the_last(users):
    """Half of a long evaluation is worth keeping when its process is killed."""
    row = users.row("on")

    assert row.attempts == 2
    assert row.values == {"cost": 45.0, "steps": 10.0, "notes": 2.0}
    assert not list((users.folder / "home" / "scratch").iterdir())


def test_a_worker_leases_nothing_whose_code_it_may_not_import(users):
    """Otherwise it would fail every trial of a study that other workers can serve; the view says what to do."""
    row = users.row("forbidden")

    assert (row.state, row.attempts) == ("queued", 0)
    assert users.stall("forbidden") == "stalled: 1 evaluations wait, no worker is alive"
