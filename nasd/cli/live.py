"""What `nasd run` shows while it runs: a few lines that redraw on a terminal, one line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nasd.store.view_rows import Progress
from nasd.studyfile.durations import duration_text

REDRAW_S = 1.0
STARTING_S = 20.0  # importing takes seconds: before this, nobody at work is no standstill
LINE_S = 10.0


class Display:
    """A context in which `show` is called with the newest figures."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._began_at, self._shown_at = time.monotonic(), float("-inf")

    @property
    def every_s(self) -> float:
        """How often new figures are worth reading."""
        return REDRAW_S if self._live is not None else LINE_S

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)

    @property
    def is_live(self) -> bool:
        """Whether somebody watches a terminal."""
        return self._live is not None

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._shown_at >= self.every_s

    def show(self, progress: Progress, front: str | None, *, restarts: int) -> None:
        """Draw, or print one line where nobody watches a terminal."""
        self._shown_at = time.monotonic()
        line = "starting" if self._is_starting(progress) else summary(progress)
        if self._live is not None:
            self._live.update(_panel(progress, line, front, restarts=restarts))
        else:
            self._console.print(line, soft_wrap=True, highlight=False)
            sys.stdout.flush()

    def _is_starting(self, progress: Progress) -> bool:
        nobody = progress.n_controllers == 0 or _n_live(progress) == 0
        return nobody and time.monotonic() - self._began_at < STARTING_S


def summary(progress: Progress) -> str:
    """One line: trials, front, time left, and what stands still."""
    row = progress.study
    budget = f"/{row.trials_budget}" if row.trials_budget is not None else ""
    parts = [f"{row.n_done}{budget} trials done", f"{row.n_running} running"]
    parts += [f"{row.n_failed} failed"] if row.n_failed else []
    parts += [f"{row.n_infeasible} infeasible"] if row.n_infeasible else []
    for score in progress.fronts:
        volume = "" if score.hypervolume is None else f", hypervolume {score.hypervolume:.3f}"
        parts.append(f"front of {score.front_size} on {score.device_kind}{volume}")
    parts.append(f"{_n_live(progress)} workers")
    if progress.left_s is not None:
        parts.append(f"about {duration_text(round(progress.left_s))} left")
    return ", ".join(parts) + (f"; {progress.standstill}" if progress.standstill else "")


def _panel(progress: Progress, line: str, front: str | None, *, restarts: int) -> RenderableType:
    row = progress.study
    done = row.n_done if row.trials_budget is not None else row.used_s
    total = row.trials_budget if row.trials_budget is not None else row.time_budget_s
    parts: list[RenderableType] = [
        Text.assemble((f"study {row.study}", "bold"), f"  {row.strategy}, seed {row.seed}, {row.state}"),
        ProgressBar(total=float(total or 1), completed=float(done), width=60),
        Text(line),
        _workers(progress),
    ]
    if restarts:
        parts.append(Text(f"{restarts} processes had to be started again; see the logs", style="yellow"))
    if front is not None:
        parts.append(Text(front))
    parts.append(Text("Ctrl-C drains and stops; the same command goes on where it stopped.", style="dim"))
    return Group(*parts)


def _workers(progress: Progress) -> RenderableType:
    table = Table(box=None, padding=(0, 2), show_header=False)
    for worker in progress.workers:
        if worker.state != "live" or worker.shares is None:
            continue
        shares = "  ".join(f"{name} {share:.0%}" for name, share in worker.shares.items())
        table.add_row(worker.worker, worker.device_kind, shares)
    return table


def _n_live(progress: Progress) -> int:
    return sum(worker.state == "live" for worker in progress.workers)
