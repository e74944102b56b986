"""One study on three device kinds, of which one joins by its token after half of the trials, and is revoked at the end.

    python scripts/bench/late_device.py [--trials 60] [--late-after 30] [--steps 300] [--folder FOLDER]

Two kinds and the trainers are a simulated fleet (`examples/fleet.toml` without its board). The third is a device like
any other: `nasd device add`, then `nasd worker join TOKEN` in a folder of its own, through TLS on the loopback.
Shown, and asked for (exit code 1 where one fails):

* the front of each kind equals brute force over the raw rows of that kind, and no two fronts have the same members;
* every completed trial was measured on the late kind too;
* from the moment of `nasd device revoke` its worker is ended and its passwords open neither Postgres nor Redis.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import moocore
import numpy as np
import psycopg
import redis

ROOT = Path(__file__).parents[2]
NASD = [sys.executable, "-m", "nasd"]
KINDS = ("desk", "server", "board")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--late-after", type=int, default=30)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(arguments)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="nasd-late-", dir="/var/tmp"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # the servers of root are another user's
    return Scene(folder).play(trials=options.trials, late_after=options.late_after, steps=options.steps)


class Scene:
    """A home, a search on it and a device beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "NASD_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
        self.board = {**os.environ, "NASD_HOME": str(folder / "board"), "PYTHONPATH": str(ROOT)}

    def play(self, *, trials: int, late_after: int, steps: int) -> int:
        study, fleet = self._files(trials=trials, steps=steps)
        self._nasd("services", "up", "--listen", "127.0.0.1:0")
        url, began = self._nasd("db", "url").strip(), time.monotonic()
        search = subprocess.Popen(
            [*NASD, "run", str(study), "--fleet", str(fleet)], cwd=self.folder, env=self.environment
        )
        worker = None
        try:
            n = self._wait_for(url, late_after, search)
            worker = self._join()
            print(f"the board joined after {n} completed trials, {time.monotonic() - began:.0f} s", flush=True)
            failed = search.wait(timeout=7200)
            print(f"the search ended with code {failed} after {time.monotonic() - began:.0f} s", flush=True)
            verdicts = [failed == 0, *self._judge(url)]
            verdicts.append(self._is_shut_out(worker))
        finally:
            for process in (worker, search):
                if process is not None and process.poll() is None:
                    process.terminate()
                    process.wait(timeout=30)
            self._nasd("services", "down")
        return 0 if all(verdicts) else 1

    def _files(self, *, trials: int, steps: int) -> tuple[Path, Path]:
        study = (ROOT / "examples" / "fleet-study.toml").read_text()
        study = study.replace("trials = 60", f"trials = {trials}").replace("steps = 300", f"steps = {steps}")
        study = study.replace("[strategy]", '[measure]\npatience = "5s"\n\n[strategy]')
        fleet = (ROOT / "examples" / "fleet.toml").read_text()
        fleet = fleet.replace('[[workers]]\nkind = "board"\nstages = ["measure"]\ncores = [0]\n', "")
        paths = self.folder / "fleet-study.toml", self.folder / "fleet.toml"
        for path, text in zip(paths, (study, fleet), strict=True):
            path.write_text(text)
        return paths

    def _nasd(self, *arguments: str) -> str:
        done = subprocess.run(
            [*NASD, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"nasd {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def _wait_for(self, url: str, n: int, search: subprocess.Popen[bytes]) -> int:
        query = "select count(*) from nasd.trials where study = 'fleet-study' and state = 'completed'"
        while search.poll() is None:
            (found,) = rows(url, query)
            if found[0] >= n:
                return int(found[0])
            time.sleep(1.0)
        raise SystemExit("the search ended before the board joined")

    def _join(self) -> subprocess.Popen[bytes]:
        added = json.loads(self._nasd("device", "add", "late-board", "--kind", "board", "--json"))
        (self.folder / "board").mkdir(exist_ok=True)
        environment = {**self.board, "NASD_JOIN": added["token"]}
        command = [*NASD, "worker", "--stage", "measure"]
        return subprocess.Popen(command, cwd=self.folder / "board", env=environment)

    def _judge(self, url: str) -> list[bool]:
        members = {kind: front_of(url, kind) for kind in KINDS}
        table = {kind: rows(url, MEASURED, kind) for kind in KINDS}
        verdicts = []
        for kind in KINDS:
            wanted = brute_force(table[kind])
            verdicts.append(said(f"{kind}: {len(members[kind])} members equal brute force", members[kind] == wanted))
        distinct = {frozenset(found) for found in members.values()}
        verdicts.append(said("no two fronts have the same members", len(distinct) == len(KINDS)))
        measured = {kind: {row[0] for row in table[kind] if row[2] is not None} for kind in KINDS}
        for kind in KINDS:
            print(f"  {kind}: {len(measured[kind])} of {len(table[kind])} completed trials measured")
        common = len(set.intersection(*map(set, members.values())))
        print(f"  on all three fronts: {common}")
        verdicts.append(said("the late kind has measured what the others have", measured["board"] >= measured["desk"]))
        return verdicts

    def _is_shut_out(self, worker: subprocess.Popen[bytes]) -> bool:
        self._nasd("device", "revoke", "late-board")
        began = time.monotonic()
        code = worker.wait(timeout=60)
        print(f"  the board's worker ended with code {code}, {time.monotonic() - began:.1f} s after it was revoked")
        return said("its passwords open nothing", not any(self._opens()))

    def _opens(self) -> list[bool]:
        from workers.joining import load

        joined = load(self.folder / "board" / "device.json")
        assert joined is not None
        opened = []
        for attempt in (lambda: psycopg.connect(joined.database_url).close(), self._ping(joined.redis_url)):
            try:
                attempt()
                opened.append(True)
            except (psycopg.Error, redis.RedisError) as error:
                print(f"  refused: {re.sub(r'[A-Za-z0-9_-]{24,}', '...', str(error).strip().splitlines()[-1])}")
                opened.append(False)
        return opened

    @staticmethod
    def _ping(url: str | None):  # noqa: ANN205 - a thunk
        assert url is not None
        return lambda: redis.Redis.from_url(url).ping()


MEASURED = """
select trial, val_error, latency_ms from nasd.device_trials
where study = 'fleet-study' and device_kind = %s and state = 'completed' order by trial
"""


def rows(url: str, query: str, *arguments: object) -> list[tuple]:
    with psycopg.connect(url) as connection:
        return connection.execute(query, arguments).fetchall()


def front_of(url: str, kind: str) -> set[int]:
    query = "select trial from nasd.pareto_front where study = 'fleet-study' and device_kind = %s"
    return {row[0] for row in rows(url, query, kind)}


def brute_force(table: Sequence[tuple]) -> set[int]:
    """The non-dominated trials among those that the kind has measured; equal ones are all kept."""
    known = [row for row in table if None not in row]
    losses = np.array([row[1:] for row in known], dtype=float)
    keep = moocore.is_nondominated(losses, keep_weakly=True)
    return {row[0] for row, is_kept in zip(known, keep, strict=True) if is_kept}


def said(what: str, holds: bool) -> bool:
    print(f"{'yes' if holds else 'NO '}  {what}", flush=True)
    return holds


if __name__ == "__main__":
    sys.exit(main())
