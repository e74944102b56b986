"""Members of a front as values with their noise, and the limits that somebody asks of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from nasd.domain.ids import DeviceKind
from nasd.domain.objective import SOURCES, Source, value_name
from nasd.errors import UserError

if TYPE_CHECKING:
    from nasd.store.view_rows import ObjectiveColumn

Row = Mapping[str, object]
_STANDARD_ERRORS = 2.0  # of a difference: below, two trained values can't be told apart
_MEASURED_SPREADS = 1.0  # of a device's own spread (interquartile range over windows), which is wider


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its evidence; `spread` is None where nothing says how far it may be off."""

    value: float
    unit: str
    spread: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Bound:
    """What a `--limit` asks for: `name` at most (or at least) `value`."""

    name: str
    value: float
    is_minimum: bool = False

    def overshoot(self, value: float) -> float:
        """How far `value` lies outside, relative to the bound; 0.0 inside."""
        over = self.value - value if self.is_minimum else value - self.value
        return max(0.0, over) / max(abs(self.value), 1e-12)

    def __str__(self) -> str:
        return f"{self.name} {'>=' if self.is_minimum else '<='} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member of the front; `values` by the plain name, as measured on the kind that is asked about."""

    trial: int
    baseline: str | None
    architecture: object
    values: Mapping[str, Estimate]


def candidate_of(row: Row, kind: str) -> Candidate:
    """A row of the view `pareto_front` with the values of `kind` under their plain names."""
    known, trial = row["objectives"], row["trial"]
    assert isinstance(known, Mapping)
    assert isinstance(trial, int)
    values = {}
    for key, entry in known.items():
        name = str(key).partition("@")[0]
        if key == value_name(name, DeviceKind(kind)):
            spread = entry.get("spread")
            values[name] = Estimate(
                float(entry["value"]),
                str(entry.get("unit") or ""),
                None if spread is None else float(spread),
                int(entry.get("n") or 1),
            )
    baseline = row["baseline"]
    return Candidate(trial, None if baseline is None else str(baseline), row["architecture"], values)


def parse_bound(text: str, objectives: Sequence[ObjectiveColumn]) -> Bound:
    """`latency_ms=20`, `latency_ms<=20` or `score>=0.9`; `=` means the side on which the objective is worse.

    Raises:
        UserError: it is none of these, or its number is not finite.
    """
    for sign in ("<=", ">=", "="):
        name, found, number = text.partition(sign)
        if found:
            break
    name = name.strip()
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not found or not name or not isfinite(value):
        raise UserError(f'--limit "{text}": write NAME=NUMBER, for example latency_ms=20')
    is_maximised = any(objective.name == name and objective.is_maximised for objective in objectives)
    return Bound(name, value, is_minimum=sign == ">=" or (sign == "=" and is_maximised))


def noise_of(candidate: Candidate, name: str) -> float | None:
    """What a value may be off by; 0.0 for exact counts, None where nothing is known of it."""
    source = SOURCES.get(name)
    if source is Source.COUNTED:
        return 0.0
    spread = candidate.values[name].spread
    factor = _MEASURED_SPREADS if source is Source.MEASURED else _STANDARD_ERRORS
    return None if spread is None else factor * spread
