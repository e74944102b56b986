"""`nasd status`: how far studies are, what holds them up, and who works on them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nasd.app.report import ScalarBest
    from nasd.store.view_rows import DeviceProgress, FrontScore, Progress, StudyRow, WorkerRow


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="A study's name or file. Without it: a line for each.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Say how far a study is: trials, time, pace, time left, stalls with their reason, workers, fronts.

    Workers' shares are of their time since they started: busy evaluates, paused waits for a neighbour's measurement.

    \b
    Example:
        nasd status
        nasd status kitchen
        watch -n 2 nasd status kitchen.toml
        nasd status kitchen --json | jq .left_s
    """
    from nasd.app.reading import reader, study_reader
    from nasd.app.report import best_by_scalar
    from nasd.config import read_settings
    from nasd.store import views

    if study is None:
        with reader(read_settings(), None) as connection:
            rows = views.studies(connection)
        print(layout.printable([_study_json(row) for row in rows]) if json else _overview(rows))
        return
    with study_reader(read_settings(), study) as (connection, row):
        progress = views.progress(connection, row.study)
        kinds = row.device_kinds if row.spec.get("scalar") else ()
        found = {kind: best_by_scalar(row.spec, views.front(connection, row.study, kind)) for kind in kinds}
    best = {kind: each for kind, each in found.items() if each is not None}
    if progress is not None:
        print(layout.printable(_json(progress, best)) if json else _text(progress, best))


def _study_json(row: StudyRow) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(row).items() if name != "spec"} | {"n_done": row.n_done}


def _json(progress: Progress, best: Mapping[str, ScalarBest]) -> dict[str, object]:
    workers = [dataclasses.asdict(worker) | {"shares": worker.shares} for worker in progress.workers]
    return _study_json(progress.study) | {
        "standstill": progress.standstill,
        "trials_per_s": progress.pace.per_s,
        "left_s": progress.left_s,
        "n_controllers": progress.n_controllers,
        "best_by_scalar": {kind: dataclasses.asdict(each) for kind, each in best.items()},
        "fronts": [dataclasses.asdict(front) for front in progress.fronts],
        "devices": [dataclasses.asdict(device) for device in progress.devices],
        "workers": workers,
    }


def _overview(rows: Sequence[StudyRow]) -> str:
    if not rows:
        return "no studies yet: start one with `nasd run STUDY.toml`"
    headers = ("study", "state", "trials", "running", "queued", "failed", "time used", "note")
    cells = [
        (
            row.study,
            row.state,
            f"{row.n_done}{_of(row.trials_budget)}",
            str(row.n_running),
            str(row.n_queued),
            str(row.n_failed),
            f"{layout.duration(row.used_s)}{_of_time(row.time_budget_s)}",
            row.stall or row.state_reason or "",
        )
        for row in rows
    ]
    return layout.table(headers, cells, right=range(2, 7))


def _text(progress: Progress, best: Mapping[str, ScalarBest]) -> str:
    row = progress.study
    reason = f" ({row.state_reason})" if row.state_reason else ""
    lines = [
        f"{row.study}: {row.state}{reason}; {row.strategy}, seed {row.seed}",
        f"trials    {row.n_done}{_of(row.trials_budget)} done: {_outcomes(row)}",
        f"time      {layout.duration(row.used_s)}{_of_time(row.time_budget_s)} used{_pace(progress)}",
    ]
    if progress.standstill:
        lines.append(f"STANDS    {progress.standstill}")
    lines += [f"front     {_front(front)}" for front in progress.fronts] or ["front     empty: no trial has finished"]
    lines += [
        f"best      {kind}, by [scalar]: trial {each.trial}, {layout.significant(each.value)}"
        for kind, each in best.items()
    ]
    lines += [f"device    {_device(device, progress)}" for device in progress.devices]
    lines += [f"worker    {line}" for line in _workers(progress.workers)]
    return "\n".join(lines)


def _outcomes(row: StudyRow) -> str:
    parts = [f"{row.n_completed} completed", f"{row.n_running} running", f"{row.n_queued} queued"]
    others = {
        "infeasible": row.n_infeasible,
        "pruned": row.n_pruned,
        "failed (not charged)": row.n_failed,
        "cancelled (not charged)": row.n_cancelled,
    }
    return ", ".join(parts + [f"{n} {what}" for what, n in others.items() if n])


def _pace(progress: Progress) -> str:
    per_s = progress.pace.per_s
    pace = "" if per_s is None else f"; {layout.significant(per_s * 60, 3)} trials a minute"
    left = "" if progress.left_s is None else f"; about {layout.duration(progress.left_s)} left"
    return pace + left


def _front(front: FrontScore) -> str:
    score = "not scored before the baselines are in"
    if front.hypervolume is not None:
        score = f"hypervolume {layout.significant(front.hypervolume)}"
    return f"{front.device_kind}: {layout.count(front.front_size, 'member')}, {score}"


def _device(device: DeviceProgress, progress: Progress) -> str:
    """How far measuring is on one kind, and whether somebody measures there."""
    parts = [f"{device.n_measured} measured", f"{device.n_running} running", f"{device.n_queued} queued"]
    parts += [f"{device.n_without} could not be measured"] if device.n_without else []
    is_live = any(
        worker.device_kind == device.device_kind and worker.state == "live" and "measure" in worker.stages
        for worker in progress.workers
    )
    nobody = "; no live worker measures on it" if device.n_queued and not is_live else ""
    return f"{device.device_kind}: {', '.join(parts)}{nobody}"


def _workers(workers: Sequence[WorkerRow]) -> list[str]:
    """A line for each that lives; those that fell silent without leaving (killed ones do) together."""
    lines = [_worker(worker) for worker in workers if worker.state == "live"]
    silent = [worker.last_seen_at for worker in workers if worker.state == "silent"]
    if silent:
        lines.append(f"{len(silent)} silent, the latest since {layout.moment(max(silent))}")
    return lines or ["none"]


def _worker(worker: WorkerRow) -> str:
    shares = worker.shares
    said = "" if shares is None else "; " + ", ".join(f"{share:.0%} {name}" for name, share in shares.items())
    return f"{worker.worker} ({worker.device_kind}); {layout.count(worker.attempts, 'attempt')}{said}"


def _of(budget: int | None) -> str:
    return "" if budget is None else f" of {budget}"


def _of_time(budget_s: float | None) -> str:
    return "" if budget_s is None else f" of {layout.duration(budget_s)}"
