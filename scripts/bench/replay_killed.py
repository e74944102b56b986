"""Whether rows alone explain every proposal: digits with 2 workers, killed three times, then `nasd replay`.

    python scripts/bench/replay_killed.py [--strategies NAME,...] [--trials 36] [--folder /tmp/replay-killed]

The whole run is killed (SIGKILL) when a quarter, a half and three quarters of its trials are learned, and started
again. Exit code 1 where a proposal differs.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import psycopg
from example_run import write_example

from nasd.errors import NasdError
from nasd.services import attach
from nasd.strategies import KNOWN

LIMIT_S = 1800.0


def learned(folder: Path, name: str) -> int:
    """Facts of the study so far; 0 while there is no database to ask."""
    try:
        with attach(folder / "home") as services, psycopg.connect(services.database_url("admin")) as connection:
            query = "select count(*) from trials where study = %s and state = 'completed'"
            row = connection.execute(query, [name]).fetchone()
            return row[0] if row else 0
    except (NasdError, psycopg.Error):
        return 0


def killed(folder: Path, path: Path, name: str, *, at: tuple[int, ...]) -> int:
    """Run the study to its end, killing it after so many trials each; how often that was done."""
    environment = {**os.environ, "NASD_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "nasd", "run", str(path), "--workers", "2"]
    n_kills, deadline = 0, time.monotonic() + LIMIT_S
    for wanted in (*at, None):
        with (folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        while process.poll() is None and time.monotonic() < deadline:
            if wanted is not None and learned(folder, name) >= wanted:
                process.send_signal(signal.SIGKILL)
                n_kills += 1
                process.wait()
            time.sleep(0.2)
        if wanted is None and process.poll() != 0:
            raise RuntimeError(f"{name} did not end well; its log: {folder / f'{name}.log'}")
    return n_kills


def main() -> int:
    """0 when every proposal of every strategy was recomputed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", default=",".join(KNOWN))
    parser.add_argument("--trials", type=int, default=36)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/replay-killed"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    n_different = 0
    for use in options.strategies.split(","):
        name = f"{use}-{uuid4().hex[:8]}"
        path = write_example(options.folder, name, use=use, seed=1, trials=options.trials)
        n_kills = killed(options.folder, path, name, at=tuple(options.trials * part // 4 for part in (1, 2, 3)))
        command = [sys.executable, "-m", "nasd", "replay", name]
        environment = {**os.environ, "NASD_HOME": str(options.folder / "home")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        n_different += done.returncode != 0
        print(f"killed {n_kills} times; {(done.stdout + done.stderr).strip()}", flush=True)
    return int(n_different > 0)


if __name__ == "__main__":
    sys.exit(main())
