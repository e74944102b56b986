"""Durations as people write them: "4h", "30m", "1h30m", "90s", or a number of seconds."""

import re
from math import isfinite

_PARTS = re.compile(r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?", re.ASCII)
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
EXPECTED = 'a duration such as "4h", "30m", "1h30m" or "90s", or a number of seconds'


def seconds_of(value: object) -> float:
    """`value` in seconds.

    Raises:
        ValueError: not a duration, or not greater than 0; the message goes on after `key = value: `.
    """
    if isinstance(value, str):
        match = _PARTS.fullmatch(value.replace(" ", "").lower())
        if match is None or not any(match.groups()):
            raise ValueError(f"must be {EXPECTED}")
        value = sum(_SECONDS[unit] * float(count) for unit, count in match.groupdict().items() if count)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be {EXPECTED}")  # noqa: TRY004 - one class for the caller's one sentence
    if not (isfinite(value) and value > 0):
        raise ValueError("must be greater than 0 and finite")
    return float(value)


def duration_text(seconds: float) -> str:
    """`seconds` for a person: "1h30m", "4m", "12s", "0.4s"."""
    if seconds < 10:
        return f"{seconds:.2g}s"
    whole = round(seconds)
    if whole < 100:
        return f"{whole}s"
    minutes = round(whole / 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m"
