"""Curves of a comparison: hypervolume over evaluations and time, and attainment surfaces; PNG, or one HTML file."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import moocore
import numpy as np
from numpy.typing import NDArray

from nasd.domain.objective import Objective
from nasd.errors import UserError
from nasd.simulator.run import Run
from nasd.simulator.scores import Curve, Yardstick

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_QUARTILES = (25, 50, 75)
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31", "#7f7f7f")
_POINTS = 200  # of a curve over time


def draw(
    path: Path, *, title: str, runs: Mapping[str, Sequence[Run]], curves: Mapping[str, Sequence[Curve]], by: Yardstick
) -> None:
    """Write the curves to `path`, which ends in .png or .html.

    Raises:
        UserError: another ending, a folder that can't be written to, or no matplotlib.
    """
    if path.suffix not in {".png", ".html"}:
        raise UserError(f"--plot {path}: must end in .png or .html")
    try:
        from matplotlib.figure import Figure  # never pyplot: no window system, no global state
    except ImportError as error:
        raise UserError(f"--plot {path}: needs matplotlib. pip install matplotlib") from error
    n_panels = 3 if len(by.objectives) > 1 else 2
    figure = Figure(figsize=(5.2 * n_panels, 4.4), layout="constrained")
    panels = figure.subplots(1, n_panels)
    figure.suptitle(title)
    for colour, (name, each) in zip(_cycle(len(curves)), curves.items(), strict=True):
        _over_evaluations(panels[0], name, each, colour)
        _over_hours(panels[1], name, each, colour)
        if n_panels > 2:
            _attained(panels[2], name, [by.front(run) for run in runs[name]], by.objectives, colour)
    panels[0].legend(loc="lower right", fontsize="small")
    content = _png(figure) if path.suffix == ".png" else _html(figure, title)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UserError(f"--plot {path}: can't be written: {error.strerror}. Name another file") from error


def attainment(
    fronts: Sequence[NDArray[np.float64]], *, percentiles: Sequence[float] = _QUARTILES
) -> dict[float, NDArray[np.float64]]:
    """Surfaces that so many percent of the runs attain, in the first two objectives.

    Args:
        fronts: one (n, m) of losses for each run; empty ones attain nothing.

    Returns:
        percentile -> (k, 2) corners of a staircase, ascending in the first objective; empty where none is attained.

    Source: Fonseca, Guerreiro, Lopez-Ibanez and Paquete 2011, computed by moocore.
    """
    points = [front[:, :2] for front in fronts if len(front)]
    if not points:
        return {percentile: np.empty((0, 2)) for percentile in percentiles}
    sets = np.repeat(np.arange(len(points)), [len(each) for each in points])
    share = len(points) / len(fronts)  # moocore knows only the runs that have points
    asked = [min(100.0, percentile / share) for percentile in percentiles]
    found = np.asarray(moocore.eaf(np.vstack(points), sets, percentiles=sorted(set(asked))))
    surfaces = {}
    for percentile, wanted in zip(percentiles, asked, strict=True):
        corners = found[np.isclose(found[:, 2], wanted), :2]
        is_attained = percentile <= 100 * share + 1e-9
        surfaces[percentile] = corners[np.argsort(corners[:, 0])] if is_attained else np.empty((0, 2))
    return surfaces


def _over_evaluations(panel: Axes, name: str, curves: Sequence[Curve], colour: str) -> None:
    longest = max((len(curve.share) for curve in curves), default=0)
    if longest == 0:
        return
    steps = np.arange(1, longest + 1)
    rows = np.array([[curve.at(int(n)) for n in steps] for curve in curves])
    _band(panel, name, steps, rows, colour)
    panel.set(xlabel="evaluations", ylabel="hypervolume, share of the best known")
    panel.grid(visible=True, alpha=0.3)


def _over_hours(panel: Axes, name: str, curves: Sequence[Curve], colour: str) -> None:
    ends = [float(curve.finished_at_s[-1]) for curve in curves if len(curve.finished_at_s)]
    if not ends:
        return
    times = np.linspace(0.0, max(ends), _POINTS)
    rows = np.array([_stepped(curve, times) for curve in curves])
    _band(panel, name, times / 3600, rows, colour)
    panel.set(xlabel="virtual hours")
    panel.grid(visible=True, alpha=0.3)


def _stepped(curve: Curve, times: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.concatenate([[0.0], curve.share])
    stepped: NDArray[np.float64] = known[np.searchsorted(curve.finished_at_s, times, side="right")]
    return stepped


def _band(panel: Axes, name: str, x: NDArray[np.generic], rows: NDArray[np.float64], colour: str) -> None:
    """The median over seeds, and the quartiles as a band."""
    low, middle, high = np.quantile(rows, [0.25, 0.5, 0.75], axis=0)
    panel.step(x, middle, where="post", color=colour, label=name)
    panel.fill_between(x.astype(float), low, high, step="post", color=colour, alpha=0.15, linewidth=0)


def _attained(
    panel: Axes, name: str, fronts: Sequence[NDArray[np.float64]], objectives: Sequence[Objective], colour: str
) -> None:
    """The median attainment surface, and the quartiles as thin lines."""
    first, second = objectives[:2]
    for percentile, corners in attainment(fronts).items():
        if len(corners) == 0:
            continue
        is_median = percentile == 50
        panel.step(
            first.sign * corners[:, 0],
            second.sign * corners[:, 1],
            where="post",
            color=colour,
            linewidth=1.6 if is_median else 0.6,
            linestyle="-" if is_median else ":",
            label=name if is_median else None,
        )
    panel.set(xlabel=first.name, ylabel=second.name, title="attained by 25, 50 and 75 % of the runs")
    panel.set_xscale("log" if first.is_log else "linear")
    panel.set_yscale("log" if second.is_log else "linear")
    panel.grid(visible=True, alpha=0.3)


def _cycle(n: int) -> list[str]:
    return [_COLOURS[at % len(_COLOURS)] for at in range(n)]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=140)
    return buffer.getvalue()


def _html(figure: Figure, title: str) -> bytes:
    """One file without references to others."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]  # without the XML prologue, which has no place inside HTML
    head = f'<meta charset="utf-8"><title>{escape(title)}</title>'
    return f"<!doctype html><html><head>{head}</head><body>{svg}</body></html>\n".encode()
