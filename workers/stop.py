"""Stop: one request to leave, made by a signal or another thread, heard wherever the worker waits."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator


class Stop:
    """Safe to request from a signal handler: it takes no lock."""

    def __init__(self) -> None:
        self.requested = False
        self._is_interruptible = False
        self._read, self._write = os.pipe()

    def fileno(self) -> int:
        """Becomes readable with the request, and stays so."""
        return self._read

    def request(self) -> None:
        """Ask to leave."""
        if not self.requested:
            self.requested = True
            os.write(self._write, b"!")

    def request_by_signal(self) -> None:
        """The same from a signal handler in the main thread.

        Raises:
            KeyboardInterrupt: the main thread waits inside `interrupting`.
        """
        self.request()
        if self._is_interruptible:
            self._is_interruptible = False
            raise KeyboardInterrupt

    def wait(self, timeout_s: float) -> bool:
        return bool(select.select([self._read], [], [], timeout_s)[0])

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        self._is_interruptible = True
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._is_interruptible = False

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)
