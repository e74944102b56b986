"""How values look in a terminal: numbers, durations, architectures, aligned tables; plain text, for pipes too."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

_UNITS_IN_NAMES = ("_ms", "_bytes", "_mj", "_s")
_DEPTHS = ("layers", "blocks")
_CLEAR_WITHOUT_NAME = ("activation", "norm")


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    """Columns padded to their widest cell, two blanks apart; columns in `right` are aligned to the right."""
    lines = [list(headers), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    to_right = set(right)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in to_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def header(name: str, unit: str) -> str:
    """A quantity's name with its unit, unless the name has it already."""
    return name if not unit or unit == "count" or name.endswith(_UNITS_IN_NAMES) else f"{name} ({unit})"


def number(value: object) -> str:
    """Up to four significant digits; whole numbers in full with separators; `-` for what is unknown."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float | Decimal):
        real = float(value)
        return f"{real:,.0f}" if real.is_integer() and abs(real) < 1e15 else significant(real)
    return str(value)


def significant(value: float, digits: int = 4) -> str:
    """`value` to so many significant digits, without an exponent where that stays readable."""
    if not math.isfinite(value) or value == 0:
        return str(value)
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{digits - 1}e}" if decimals > 8 else f"{value:,.{max(0, decimals)}f}"


def estimate(entry: Mapping[str, object] | None) -> str:
    """A value of `objectives` with its spread: `0.412 ± 0.011`."""
    if entry is None:
        return "-"
    spread = entry.get("spread")
    return number(entry.get("value")) + (f" ± {significant(spread, 2)}" if isinstance(spread, float) else "")


def duration(seconds: float | None) -> str:
    """`4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`; `-` for None."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    for big, small, size in (("d", "h", 86400), ("h", "min", 3600), ("min", "s", 60)):
        if whole >= size:
            rest = whole % size // (3600 if small == "h" else 60 if small == "min" else 1)
            return f"{whole // size} {big}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def moment(at: object) -> str:
    """A time in this machine's zone, to the second; `-` for None."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if isinstance(at, datetime) else "-"


def architecture(genes: object) -> str:
    """Genes on one short line: `widths=256-128-512 gelu batchnorm dropout=0.1`.

    Lists are joined by `-`; activation and norm stand for themselves; a depth that a list shows is left out, and so is
    what does not exist, which in a list is `_`.
    """
    if not isinstance(genes, Mapping):
        return "-" if genes is None else compact(genes)
    lists = {name: value for name, value in genes.items() if isinstance(value, list)}
    lengths = {len(value) for value in lists.values()}
    words = [f"{name}={'-'.join(map(_gene, value))}" for name, value in sorted(lists.items())]
    for name, value in sorted(genes.items(), key=lambda item: (not isinstance(item[1], str), item[0])):
        if name in lists or value is None or (name in _DEPTHS and value in lengths):
            continue
        stands_alone = name in _CLEAR_WITHOUT_NAME and isinstance(value, str) and value != "none"
        words.append(str(value) if stands_alone else f"{name}={_gene(value)}")
    return " ".join(words)


def _gene(value: object) -> str:
    """As a study file writes it; `_` for what does not exist."""
    if value is None:
        return "_"
    return str(value).lower() if isinstance(value, bool) else str(value)


def compact(value: object) -> str:
    """JSON on one line without blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=plain)


def printable(value: object) -> str:
    """JSON for a program, indented."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=plain)


def plain(value: object) -> object:
    """What JSON has no word for: times as ISO 8601, decimals as numbers."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is not part of any row")


def count(n: int, what: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
