"""One event, one line, with its fields."""

import logging
import sys

from nasd.telemetry.logs import LineFormatter


def line(message: str, *, error: BaseException | None = None, **fields: object) -> str:
    record = logging.LogRecord("nasd.x", logging.INFO, "x.py", 1, message, (), error and sys.exc_info())
    record.fields = fields
    return LineFormatter().format(record)


def test_fields_follow_the_message_and_are_quoted_where_needed():
    """A constant message can be counted; a value with blanks must not look like two fields."""
    shown = line("study ended", study="digits-mlp", why='its "budget" is used')

    assert shown.endswith('INFO nasd.x study ended study=digits-mlp why="its \\"budget\\" is used"')


def test_a_traceback_follows_its_line():
    try:
        int("no such layer")
    except ValueError as error:
        shown = line("tick failed", error=error, loop="planner")

    assert shown.splitlines()[0].endswith("tick failed loop=planner")
    assert shown.splitlines()[-1] == "ValueError: invalid literal for int() with base 10: 'no such layer'"
