"""Whether a limit on a sustained run's quantile is kept, which its interval decides and not its value. Pure."""

from __future__ import annotations

from enum import StrEnum


class SustainedVerdict(StrEnum):
    """What an interval says about a limit."""

    KEPT = "kept"
    BROKEN = "broken"
    UNDECIDED = "undecided"  # measure again


def verdict(low: float, high: float | None, maximum: float) -> SustainedVerdict:
    """Kept only where the whole interval lies at or below `maximum`, broken only where it lies above.

    Args:
        high: None where the run was too short for an upper end: it may be any number.
    """
    if low > maximum:
        return SustainedVerdict.BROKEN
    if high is not None and high <= maximum:
        return SustainedVerdict.KEPT
    return SustainedVerdict.UNDECIDED
