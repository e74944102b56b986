"""docs/strategies.md says of every strategy what the contract suite finds it to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from strategy_cases import USES, every
from strategy_checks import TABLE_HEAD, capability

from nasd.strategies import KNOWN

DOCS = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
TABLE = DOCS.split("<!-- table of strategies: python scripts/bench/strategy_table.py -->\n")[1].split("<!-- end -->")[0]


def without_time(line: str) -> str:
    """A row without its last cell, the only one that is another on every machine."""
    return re.sub(r"(?<=\|)[^|]*\|$", "", line.strip())


def test_the_table_has_every_strategy_and_no_other():
    """What is missing there will not be found."""
    first, second, *rows = TABLE.strip().splitlines()

    assert (without_time(first), without_time(second)) == TABLE_HEAD
    assert [re.match(r"\| `([^`]*)`", row).group(1) for row in rows] == list(USES)


@pytest.mark.parametrize("use", every())
def test_the_table_says_what_the_checks_find(use):
    """`python scripts/bench/strategy_table.py` prints it anew."""
    (line,) = (line for line in TABLE.splitlines() if line.startswith(f"| `{use}` |"))

    assert without_time(line) == capability(use).as_row()


@pytest.mark.parametrize("use", KNOWN)
def test_every_strategy_has_a_section_that_says_when_to_choose_it(use):
    """A name in a list is no help with choosing."""
    section = DOCS.split(f"\n## `{use}`")[1].split("\n## ")[0]

    assert "**Choose it**" in section
    assert "**Paper**" in section
