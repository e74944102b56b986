"""Finished runs in a file of JSON lines: appended one by one, so that interrupted benches accumulate."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from search_runs import CURVE

Key = tuple[str, str, int, str]  # problem, strategy, seed, mode


def key_of(record: dict[str, Any]) -> Key:
    """One run; the newest line of it counts."""
    return record["table"], record["strategy"], record["seed"], record["mode"]


def read(path: Path) -> list[dict[str, Any]]:
    """Every line; none where there is no file. A last line cut short by a kill is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def append(path: Path, record: dict[str, Any]) -> None:
    """Write one line, whole; a line that a kill cut short is ended first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")


def done(
    records: Iterable[dict[str, Any]], versions: Mapping[str, str], digests: Mapping[str, str], *, trials: int
) -> set[Key]:
    """The runs that need not be made again: long enough, of the present version, scored in the present boxes.

    Args:
        versions: by strategy.
        digests: by problem.
    """
    return {
        key_of(record)
        for record in records
        if record["trials"] >= trials
        and record["version"] == versions.get(record["strategy"], record["version"])
        and record.get("digest") == digests.get(record["table"], record.get("digest"))
    }


@dataclass(frozen=True, slots=True)
class Results:
    """What a report is made of.

    Attributes:
        curves: problem -> strategy -> seed -> normalised hypervolume after 1, 2, ... evaluations.
        speeds: strategy -> records of its utilisation and ask times.
        n_stale: lines of an older version of their strategy or in other boxes of their problem, left out.
    """

    curves: dict[str, dict[str, dict[int, NDArray[np.float64]]]]
    speeds: dict[str, list[dict[str, Any]]]
    n_stale: int

    def at(self, problem: str, strategy: str, n: int) -> dict[int, float]:
        """Seed -> hypervolume after `n` evaluations, of the runs that are that long."""
        curves = self.curves[problem][strategy]
        return {seed: float(curve[n - 1]) for seed, curve in curves.items() if len(curve) >= n}

    def whole(self, problem: str, strategy: str, n: int) -> list[NDArray[np.float64]]:
        """The curves that are `n` evaluations long."""
        return [curve for curve in self.curves[problem][strategy].values() if len(curve) >= n]


def results(records: Iterable[dict[str, Any]], *, trials: int) -> Results:
    """The longest and newest line of each run of each strategy's newest version, in its problem's newest boxes.

    The reference is the true front's hypervolume, or the best known one, which a run may have bettered. A run that
    ended because its space was used up stays where it is up to `trials`.
    """
    lines = list(records)
    versions = {record["strategy"]: record["version"] for record in lines}
    digests = {record["table"]: record.get("digest") for record in lines}
    fresh = [
        record
        for record in lines
        if (record["version"], record.get("digest")) == (versions[record["strategy"]], digests[record["table"]])
    ]
    latest: dict[Key, dict[str, Any]] = {}
    for record in fresh:
        other = latest.get(key_of(record))
        if other is None or record["trials"] >= other["trials"]:
            latest[key_of(record)] = record
    reference: dict[tuple[str, int], float] = defaultdict(float)
    for record in latest.values():
        box = record["table"], record["box"]
        reference[box] = max(reference[box], record["true"], record["hv"][-1])
    curves: dict[str, dict[str, dict[int, NDArray[np.float64]]]] = defaultdict(lambda: defaultdict(dict))
    speeds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (problem, strategy, seed, mode), record in latest.items():
        speeds[strategy].append(record)
        if mode == CURVE:
            curve = np.array(record["hv"]) / reference[problem, record["box"]]
            is_used_up = len(curve) < record["trials"]
            curves[problem][strategy][seed] = _padded(curve, trials) if is_used_up else curve
    return Results(curves, speeds, len(lines) - len(fresh))


def _padded(curve: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.pad(curve, (0, max(0, n - len(curve))), mode="edge")
