"""One event, one line: time, level, logger, a constant message, then fields (`extra={"fields": {...}}`)."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO nasd.daemon.planner study ended study=digits why="its budget is used"`."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = getattr(record, "fields", {})
        pairs = (
            "".join(f" {name}={_shown(value)}" for name, value in fields.items()) if isinstance(fields, Mapping) else ""
        )
        line = f"{when} {record.levelname} {record.name} {record.getMessage()}{pairs}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send this process's log to `stream` (stderr) at `level`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _shown(value: object) -> str:
    text = str(value)
    return text if text and all(c.isalnum() or c in "._:/-+" for c in text) else json.dumps(text)
