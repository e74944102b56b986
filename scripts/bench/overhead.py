"""Cost of orchestration: studies whose evaluation does nothing, next to Optuna on the same Postgres and Redis.

    python scripts/bench/overhead.py [--sizes 100,1000,10000] [--rounds 3] [--workers 1,2] [--peer-trials 60]

Every nasd trial is proposed by steady-state NSGA-II, stored, leased by a worker that was woken through rq, evaluated in
its child process, finished, learned and entered in the front, durably (fsync and synchronous_commit on). A study of N
trials is run from empty, timed from its first lease to its end. Optuna's NSGA-II starts on a study that already holds
N trials and is timed for `--peer-trials` more; that is the cost *at* N, and spares hours. All run in turns within each
round, with each number of workers; medians over the rounds are compared, each system at its best number of workers.
Counts do not depend on the machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from overhead_nasd import NasdRun, Pair, run_nasd
from overhead_peer import PeerRun, PeerStudies, run_peer


def main() -> None:
    """Measure and print."""
    options = _options()
    rows: list[NasdRun | PeerRun] = []
    with tempfile.TemporaryDirectory(prefix="nasd-bench-", dir=options.dir) as folder:
        Path(folder).chmod(0o711)
        with Pair.start(Path(folder) / "home") as pair:
            studies = PeerStudies(pair)
            for _ in range(options.rounds):
                for size in options.sizes:
                    for n_workers in options.workers:
                        rows.append(_shown(run_nasd(pair, size=size, n_workers=n_workers, folder=Path(folder))))
                        for peer in options.peers:
                            run = run_peer(studies, peer, size=size, n_workers=n_workers, n_trials=options.peer_trials)
                            rows.append(_shown(run))
    _summary(rows, options.sizes, options.peers)


def _options() -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=numbers, default=[100, 1000, 10000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=numbers, default=[1, 2])
    parser.add_argument("--peers", type=lambda text: [p for p in text.split(",") if p], default=["rdb", "journal"])
    parser.add_argument("--peer-trials", type=int, default=60)
    parser.add_argument("--dir", help="where the home is made: a disk, or a memory file system such as /dev/shm")
    return parser.parse_args()


def _shown(run: NasdRun | PeerRun) -> NasdRun | PeerRun:
    print(run, flush=True)
    return run


def _summary(rows: Sequence[NasdRun | PeerRun], sizes: Sequence[int], peers: Sequence[str]) -> None:
    """Medians at each system's best number of workers, and the ratios."""
    print("\nmedian ms a trial, each at its best number of workers")
    best: dict[tuple[str, int], float] = {}
    for system in ("nasd", *peers):
        for size in sizes:
            by_workers: dict[int, list[float]] = {}
            for row in rows:
                if row.system == system and row.size == size:
                    by_workers.setdefault(row.n_workers, []).append(row.ms_per_trial)
            if by_workers:
                medians = {n: statistics.median(values) for n, values in by_workers.items()}
                n_best = min(medians, key=medians.__getitem__)
                best[system, size] = medians[n_best]
                print(f"  {system:8} at {size:6}: {medians[n_best]:8.2f} ms ({n_best} workers)")
    for peer in peers:
        for size in sizes:
            if (peer, size) in best:
                print(f"  nasd is {best[peer, size] / best['nasd', size]:.1f} times cheaper than {peer} at {size}")
    late = [row.late_over_early for row in rows if isinstance(row, NasdRun) and row.size == max(sizes)]
    print(f"  nasd's last tenth over its second tenth at {max(sizes)}: {statistics.median(late):.2f}")


if __name__ == "__main__":
    main()
