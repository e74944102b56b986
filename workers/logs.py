"""Log lines of a worker: one event, one line, fields behind the message as `name=value`."""

from __future__ import annotations

import logging
import sys
from typing import cast


class FieldFormatter(logging.Formatter):
    """Appends the record's `fields`; values with blanks are quoted."""

    def format(self, record: logging.LogRecord) -> str:
        fields = cast("dict[str, object]", getattr(record, "fields", {}))
        line = super().format(record)
        return " ".join((line, *(f"{name}={_plain(value)}" for name, value in fields.items() if value is not None)))


def configure(level: str) -> None:
    """Send all events of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _plain(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return repr(text) if not text or any(letter.isspace() for letter in text) else text
