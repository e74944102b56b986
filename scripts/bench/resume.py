"""Time from a controller's taking the lead to its next proposal, on a study that has many trials already.

    python scripts/bench/resume.py [--trials 10000]

The study is made by the real path with evaluations that do nothing; then its budget is raised and it is run again, once
with the strategy's stored cache and once without. Times are the database's.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from threading import Event

import psycopg
from overhead_nasd import Pair, run_nasd

from nasd.app.run import Stops, run
from nasd.ports.trials import Study
from nasd.store.studies import PgStudies


def main() -> None:
    """Make, resume twice, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    n_trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory(prefix="nasd-resume-") as folder:
        Path(folder).chmod(0o711)
        with Pair.start(Path(folder) / "home") as pair:
            run_nasd(pair, size=n_trials, n_workers=1, folder=Path(folder))
            studies = PgStudies(pair.endpoints.database["controller"])
            study = studies.find(studies.names()[0])
            for how in ("with", "without"):
                if how == "without":
                    _do(pair, "delete from nasd_core.strategy_cache")
                study = _raised(studies, study)
                run(study, pair.endpoints, n_workers=1, stops=Stops(Event(), Event()), on_tick=lambda _: None)
                print(f"{how} the cache: next proposal {_seconds(pair):.2f} s after taking the lead", flush=True)


def _raised(studies: PgStudies, study: Study) -> Study:
    budget = replace(study.spec.budget, trials=study.spec.budget.trials + 10)
    studies.go_on(study.id, replace(study.spec, budget=budget), why="raised")
    return studies.find(study.name)


def _seconds(pair: Pair) -> float:
    return _do(
        pair,
        """select extract(epoch from min(p.at) - l.at) from nasd_core.event as p,
                  (select max(at) as at from nasd_core.event where kind = 'leader') as l
           where p.kind = 'proposed' and p.at > l.at group by l.at""",
    )


def _do(pair: Pair, query: str) -> float:
    with psycopg.connect(pair.endpoints.database["admin"]) as connection:
        cursor = connection.execute(query)
        return float(cursor.fetchone()[0]) if cursor.description else 0.0


if __name__ == "__main__":
    main()
