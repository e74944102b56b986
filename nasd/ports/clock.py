"""Time as an argument: the only other reader of clocks is `SystemClock`."""

import time
from datetime import UTC, datetime
from threading import Event
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds for durations, wall time for people, and a wait that can be interrupted."""

    def monotonic(self) -> float: ...

    def now(self) -> datetime: ...

    def wait(self, event: Event, timeout_s: float) -> bool:
        """Wait for `event` at most `timeout_s` seconds; True when it was set."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wait(self, event: Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)
