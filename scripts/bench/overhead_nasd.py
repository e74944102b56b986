"""One nasd study of evaluations that do nothing, and what it cost; the embedded pair it runs on."""

from __future__ import annotations

import os
import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Event

import psycopg
import redis

from nasd.app.endpoints import Endpoints, prepare, resolve
from nasd.app.run import Ended, Stops, run
from nasd.app.studies import open_study
from nasd.config import Settings
from nasd.services import attach, down
from nasd.store.studies import PgStudies

_numbers = count(1)
STUDY = """
seed = {seed}
[evaluation]
run = "nothing:evaluate"
[objectives.cost]
best = 0.0
worst = 1.0
[objectives.loss]
best = 0.0
worst = 1.0
[strategy]
use = "nsga2"
[budget]
trials = {trials}
"""
NOTHING = '''
"""Two conflicting numbers from the genes; takes microseconds."""

import zlib


def evaluate(architecture, context):
    size = sum(architecture["widths"]) / 8192
    luck = zlib.crc32(repr(sorted(architecture.items())).encode()) / 2**32
    return {"cost": size, "loss": (0.2 + 0.8 * luck) / (1 + 8 * size)}
'''


@dataclass(frozen=True, slots=True)
class Pair:
    """The embedded pair with statement statistics on."""

    home: Path
    endpoints: Endpoints
    settings: Settings

    @classmethod
    @contextmanager
    def start(cls, home: Path) -> Iterator[Pair]:
        with attach(home) as services, psycopg.connect(services.database_url("admin"), autocommit=True) as connection:
            connection.execute("alter system set shared_preload_libraries = 'pg_stat_statements'")
        down(home, force=True)
        settings = Settings(home=home)
        with resolve(settings, home) as endpoints:
            prepare(endpoints, settings)
            with psycopg.connect(endpoints.database["admin"], autocommit=True) as connection:
                connection.execute("create extension if not exists pg_stat_statements")
            yield cls(home, endpoints, settings)

    def counters(self) -> dict[str, int]:
        """Statements, transactions, WAL syncs of the server, and lists pushed to by rq, so far."""
        with psycopg.connect(self.endpoints.database["admin"], autocommit=True) as connection:
            connection.execute("select pg_stat_force_next_flush()")
            statements = connection.execute(
                "select coalesce(sum(calls), 0)::bigint from pg_stat_statements "
                "where dbid = (select oid from pg_database where datname = current_database())"
            ).fetchone()
            commits = connection.execute(
                "select xact_commit from pg_stat_database where datname = current_database()"
            ).fetchone()
            syncs = connection.execute(
                "select coalesce(sum(fsyncs), 0)::bigint from pg_stat_io where object = 'wal' and context = 'normal'"
            ).fetchone()
        client = redis.from_url(self.endpoints.services.redis_url("admin"))
        calls = client.info("commandstats")
        client.close()
        pushes = sum(int(calls.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("rpush", "lpush"))
        return {"statements": statements[0], "commits": commits[0], "syncs": syncs[0], "rq_jobs": pushes}


@dataclass(frozen=True, slots=True)
class NasdRun:
    """What one study cost."""

    size: int
    n_workers: int
    ms_per_trial: float
    late_over_early: float
    ask_ms: float | None
    per_trial: dict[str, float]
    system: str = "nasd"

    def __str__(self) -> str:
        counts = ", ".join(f"{value:.2f} {name}" for name, value in self.per_trial.items())
        ask = "" if self.ask_ms is None else f", ask {self.ask_ms:.2f} ms"
        return (
            f"nasd     {self.size:6} trials, {self.n_workers} workers: {self.ms_per_trial:7.2f} ms a trial{ask}, "
            f"last tenth over second {self.late_over_early:.2f}; a trial: {counts}"
        )


def run_nasd(pair: Pair, *, size: int, n_workers: int, folder: Path) -> NasdRun:
    """A study from empty to its budget, in processes as `nasd run` makes them."""
    number = next(_numbers)
    (folder / "nothing.py").write_text(NOTHING)
    path = folder / f"bench-{number}.toml"
    path.write_text(STUDY.format(seed=number, trials=size))
    port = _free_port()
    os.environ |= {"PYTHONPATH": str(folder), "NASD_METRICS_PORT": str(port)}
    study = open_study(path, PgStudies(pair.endpoints.database["controller"]))
    before, asks = pair.counters(), _Asks(port)
    ended = run(
        study, pair.endpoints, n_workers=n_workers, stops=Stops(Event(), Event()), on_tick=lambda _: asks.look()
    )
    after = pair.counters()
    if ended is not Ended.COMPLETED:
        raise RuntimeError(f"the study ended {ended}")
    seconds, early, late = _times(pair, study.id)
    return NasdRun(
        size=size,
        n_workers=n_workers,
        ms_per_trial=1000 * seconds / size,
        late_over_early=late / early,
        ask_ms=asks.mean_ms,
        per_trial={name: (after[name] - before[name]) / size for name in before},
    )


def _times(pair: Pair, study: int) -> tuple[float, float, float]:
    """Seconds from the first lease to the last fact, and of the second and the last tenth of the facts."""
    query = """
        with f as (select extract(epoch from at) as at, seq, max(seq) over () as n
                   from nasd_core.fact where study_id = %(study)s)
        select max(at) - (select extract(epoch from min(leased_at)) from nasd_core.attempt as a
                          join nasd_core.evaluation as e on e.id = a.evaluation_id where e.study_id = %(study)s),
               max(at) filter (where seq <= n * 0.2) - max(at) filter (where seq <= n * 0.1),
               max(at) - max(at) filter (where seq <= n * 0.9)
        from f"""
    with psycopg.connect(pair.endpoints.database["admin"]) as connection:
        row = connection.execute(query, {"study": study}).fetchone()
    return float(row[0]), float(row[1]), float(row[2])


class _Asks:
    """The controller's own propose histogram, read while it runs."""

    def __init__(self, port: int) -> None:
        self._url, self.mean_ms, self._looked_at = f"http://127.0.0.1:{port}/metrics", None, 0.0

    def look(self) -> None:
        if time.monotonic() - self._looked_at < 1:
            return
        self._looked_at = time.monotonic()
        try:
            with urllib.request.urlopen(self._url, timeout=1) as answer:
                text = answer.read().decode()
        except OSError:
            return
        total = sum(float(v) for v in re.findall(r"^nasd_propose_seconds_sum\S* (\S+)", text, re.MULTILINE))
        n = sum(float(v) for v in re.findall(r"^nasd_propose_seconds_count\S* (\S+)", text, re.MULTILINE))
        self.mean_ms = 1000 * total / n if n else self.mean_ms


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
