"""A simulated fleet, with real processes: several kinds on one machine, a front for each, made of their own rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from database import Database
from devices_scene import brute_force
from fault_processes import environment

from nasd.services import attach

pytestmark = [pytest.mark.fault, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"
STUDY = """
name = "fleet"
seed = 3
[data]
use = "digits"
[space]
kind = "mlp"
[train]
steps = 20
[measure]
windows = 3
window_s = 0.004
[objectives]
val_error = {}
params = {}
latency_ms = { on = ["desk", "server", "local"] }
[devices.server]
batch = 256
[devices.local]
batch = 16
[strategy]
use = "random"
[budget]
trials = 14
"""
FLEET = """
[[workers]]
count = 2
stages = ["train"]
[[workers]]
kind = "desk"
stages = ["measure"]
cores = [0]
[[workers]]
kind = "server"
stages = ["measure"]
cores = [0]
[[workers]]
stages = ["measure"]
[kinds.server]
batch = 256
"""


class FleetRun:
    """`nasd` in a folder of its own, over the embedded pair of a home of its own."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder

    def nasd(self, *arguments: object, limit_s: float = 60.0) -> tuple[int, str]:
        """(exit code, everything it printed)."""
        done = subprocess.run(
            [sys.executable, "-m", "nasd", *map(str, arguments)],
            cwd=self.folder,
            env=environment(NASD_HOME=str(self.home)),
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )
        return done.returncode, done.stdout + done.stderr

    @contextmanager
    def database(self) -> Iterator[Database]:
        with attach(self.home) as services:
            yield Database(
                **{role: services.database_url(role) for role in ("admin", "controller", "worker", "reader")}
            )

    def fronts_by_hand(self, *names: str, kinds: tuple[str, ...]) -> dict[str, set[int]]:
        """Kind -> members by brute force over what workers wrote; `names` without the latency."""
        with self.database() as database:
            rows = database.rows(
                """
                select t.number, m.name, m.device_kind,
                       case when m.name = 'latency_ms' then min(m.value) else avg(m.value) end
                from nasd_core.trial as t join nasd_core.measurement as m on m.trial_id = t.id
                where t.state = 'completed' and m.status = 'current' group by 1, 2, 3
                union all
                select number, 'params', '', (values #>> '{params,value}')::float8 from nasd_core.trial
                where state = 'completed'"""
            )
        by_trial: dict[int, dict[tuple[str, str], float]] = {}
        for number, name, kind, value in rows:
            key = (name, kind if name == "latency_ms" else "")
            by_trial.setdefault(number, {})[key] = value
        fronts = {}
        for kind in kinds:
            keys = [*((name, "") for name in names), ("latency_ms", kind)]
            full = {n: tuple(known[key] for key in keys) for n, known in by_trial.items() if known.keys() >= set(keys)}
            fronts[kind] = brute_force(full)
        return fronts

    def fronts(self) -> dict[str, set[int]]:
        """Kind -> members by the view."""
        fronts: dict[str, set[int]] = {}
        with self.database() as database:
            for kind, trial in database.rows("select device_kind, trial from nasd.pareto_front"):
                fronts.setdefault(kind, set()).add(trial)
        return fronts


@pytest.fixture
def fleet(home: Path, tmp_path: Path) -> FleetRun:
    return FleetRun(home, tmp_path)


@pytest.mark.timeout(240)
def test_each_kind_of_a_fleet_gets_the_front_of_its_own_measurements(fleet: FleetRun):
    """One study, three kinds, one machine: nothing of one kind's figures may reach another's front."""
    (fleet.folder / "fleet.toml").write_text(FLEET)
    (fleet.folder / "study.toml").write_text(STUDY)
    code, said = fleet.nasd("run", "study.toml", "--fleet", "fleet.toml", limit_s=200)
    kinds = ("desk", "server", "local")

    assert code == 0, said
    assert "fleet: 1 as server: measure; runs torch-eager, fp32, batch 256, 1 thread; core 0" in said
    assert fleet.fronts() == fleet.fronts_by_hand("val_error", "params", kinds=kinds)
    with fleet.database() as database:
        batches = database.rows(
            "select distinct device_kind, conditions ->> 'batch' from nasd.measurements where name = 'latency_ms' "
            "order by 1"
        )
        cores = database.rows(
            "select device_kind, stages, (facts ->> 'usable_threads')::int from nasd.workers order by worker_id"
        )
    assert batches == [("desk", "1"), ("local", "16"), ("server", "256")]
    pinned, free = 1, len(os.sched_getaffinity(0))
    assert sorted(cores) == [
        ("desk", ["measure"], pinned), ("local", ["measure"], free), ("local", ["train"], free),
        ("local", ["train"], free), ("server", ["measure"], pinned),
    ]  # fmt: skip

    code, said = fleet.nasd("devices", "compare", "fleet", "--predictor", "--json")
    found = json.loads(said)
    assert [each["n_measured"] for each in found["kinds"]] == [14] * 3
    assert {kind: each["all"]["n"] for kind, each in found["predictors"].items()} == dict.fromkeys(kinds, 14)
    assert fleet.nasd("replay", "fleet")[0] == 0


def test_a_fleet_that_does_not_fit_starts_nothing(fleet: FleetRun):
    """A mistake in either file is told before services start."""
    (fleet.folder / "fleet.toml").write_text(FLEET)
    (fleet.folder / "study.toml").write_text(STUDY.replace("batch = 256", "batch = 64"))
    code, said = fleet.nasd("run", "study.toml", "--fleet", "fleet.toml")

    assert (code, said.count("\n")) == (2, 1)
    assert "fleet.toml:16: kinds.server.batch = 256: the study's [devices.server] has 64. Make them agree" in said
    assert fleet.nasd("run", "study.toml", "--fleet", "fleet.toml", "--workers", "2")[0] == 2
    assert not (fleet.home / "logs" / "fleet-controller.log").exists()


@pytest.mark.timeout(600)
def test_the_examples_kinds_differ_in_more_than_their_labels(fleet: FleetRun):
    """The fleet's own test: kinds that rank networks alike would prove nothing. A shorter example, the same kinds."""
    text = (
        (EXAMPLES / "fleet-study.toml")
        .read_text()
        .replace("trials = 60", "trials = 20")
        .replace("steps = 300", "steps = 60")
    )
    (fleet.folder / "fleet-study.toml").write_text(text)
    code, said = fleet.nasd("run", "fleet-study.toml", "--fleet", EXAMPLES / "fleet.toml", limit_s=540)
    assert code == 0, said

    kinds = ("desk", "server", "board")
    fronts = fleet.fronts()
    assert fronts == fleet.fronts_by_hand("val_error", kinds=kinds)
    assert len({frozenset(front) for front in fronts.values()}) == len(kinds)
    code, said = fleet.nasd("devices", "compare", "fleet-study", "--max-tau", "0.9")
    assert code == 0, said
    with fleet.database() as database:
        ran = database.rows(
            "select distinct device_kind, conditions ->> 'runtime', conditions ->> 'precision' from nasd.measurements "
            "where name = 'latency_ms' order by 1"
        )
    assert ran == [("board", "onnxruntime", "int8"), ("desk", "torch-eager", "fp32"), ("server", "torch-eager", "fp32")]
