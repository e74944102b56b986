"""The list of kill points and the source say the same."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from nasd.domain import killpoints

ROOT = Path(killpoints.__file__).parents[2]
CALL = re.compile(r'killpoint\("([^"]+)"\)')


def test_every_kill_point_stands_in_the_source_exactly_once_and_no_other_does():
    """The crash tests enumerate this list: a point that is missing is a crash that is never tried."""
    sources = [path for folder in ("nasd", "workers") for path in (ROOT / folder).rglob("*.py")]
    found = Counter(name for path in sources for name in CALL.findall(path.read_text()))
    assert found == Counter(killpoints.KILLPOINTS)


def test_a_kill_point_is_nothing_without_the_variable(monkeypatch):
    """It stands in production code."""
    monkeypatch.delenv("NASD_KILLPOINT", raising=False)
    killpoints.killpoint("planner.after_apply")


def test_another_point_or_an_earlier_hit_does_not_kill(monkeypatch):
    """`name@3` spares the first two."""
    monkeypatch.setenv("NASD_KILLPOINT", "reaper.after_expire@3")
    killpoints.killpoint("planner.after_apply")
    killpoints.killpoint("reaper.after_expire")
    killpoints.killpoint("reaper.after_expire")
