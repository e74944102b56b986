"""The process of `gp` from outside: started when first asked, ended with its handle, or when it hangs."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import IO, Any

from nasd.errors import WorldFault
from nasd.usercode import environment

# sums are cut by the number of threads, and their last digits follow: one thread, so that a replay is bit-equal
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ATTEMPTS = 3
_LIMIT_S = 600.0  # an ask of 200 trials takes 10 to 20 s, on a crowded machine several times that
_COMMAND = (sys.executable, "-m", "nasd.strategies.gp_process")


class _Silent(Exception):
    """No answer: it ended, or it took too long."""


class Proposer:
    """One process that answers one line at a time; not for several threads."""

    def __init__(self, *, limit_s: float = _LIMIT_S, command: Sequence[str] = _COMMAND) -> None:
        self._limit_s, self._command = limit_s, tuple(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None

    def ask(self, request: Mapping[str, object]) -> dict[str, Any]:
        """The answer to `request`, from a new process where one is killed or hangs.

        Raises:
            WorldFault: no answer in three attempts, or one that says what went wrong.
        """
        line, reason = json.dumps(request).encode() + b"\n", ""
        for _ in range(_ATTEMPTS):
            try:
                reply = self._asked(line)
            except _Silent as silent:
                self.close()
                reason = str(silent)
                continue
            if "error" in reply:
                self.close()
                raise WorldFault("proposer", f"the process of strategy gp failed: {reply['error']}")
            return reply
        raise WorldFault("proposer", f"the process of strategy gp gave no answer in {_ATTEMPTS} attempts: {reason}")

    def close(self) -> None:
        """End the process, if there is one."""
        if self._finalizer is not None:
            self._finalizer()
        self._process = self._finalizer = None

    @property
    def pid(self) -> int | None:
        """Of the process that would be asked next."""
        return None if self._process is None else self._process.pid

    def _asked(self, line: bytes) -> dict[str, Any]:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        reply: dict[str, Any] = json.loads(_exchanged(process.stdin, process.stdout, line, self._limit_s))
        return reply

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            settings = {**dict.fromkeys(_ONE_THREAD, "1"), "PYTHONHASHSEED": "0"}
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env={**environment(), **settings},
            )
            self._finalizer = weakref.finalize(self, _end, self._process)
        return self._process


def _exchanged(to: IO[bytes], back: IO[bytes], line: bytes, limit_s: float) -> bytes:
    """Write a line and read one.

    Raises:
        _Silent: the other side ended, or `limit_s` went by.
    """
    deadline, received = time.monotonic() + limit_s, b""
    with selectors.DefaultSelector() as selector:
        selector.register(back, selectors.EVENT_READ)
        selector.register(to, selectors.EVENT_WRITE)
        os.set_blocking(to.fileno(), False)
        while not received.endswith(b"\n"):
            ready = selector.select(deadline - time.monotonic())
            if time.monotonic() >= deadline:
                raise _Silent(f"it took more than {limit_s:g} s")
            for key, _ in ready:
                if key.fileobj is to:
                    line = line[_written(to, line) :]
                    if not line:
                        selector.unregister(to)
                else:
                    read = os.read(back.fileno(), 1 << 16)
                    if not read:
                        raise _Silent("it ended")
                    received += read
    return received


def _written(to: IO[bytes], line: bytes) -> int:
    try:
        return os.write(to.fileno(), line)
    except BrokenPipeError as error:
        raise _Silent("it ended") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it: it holds nothing that could be lost."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
