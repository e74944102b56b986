"""What users' code may leave behind in the evaluating child: put back after each evaluation, or the child is worn."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_OUTPUTS = (1, 2)


class Hygiene:
    """Remembers how the child was at its start."""

    def __init__(self) -> None:
        self._pid, self._folder = os.getpid(), Path.cwd()
        self._streams = (sys.stdout, sys.stderr)
        self._outputs = [_identity(descriptor) for descriptor in _OUTPUTS]
        if sys.platform == "linux":  # what users' code starts stays below this process, whoever leaves in between
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def leave_if_forked(self) -> None:
        """A copy of the child that users' code forked and let return must not answer a second time."""
        if os.getpid() != self._pid:
            os._exit(0)

    def is_worn(self) -> bool:
        """Put back what can be; whether something is left that would reach into the next evaluation."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        streams, (sys.stdout, sys.stderr) = (sys.stdout, sys.stderr), self._streams
        for stream in {*streams, *self._streams}:
            with contextlib.suppress(Exception):  # users' code may have put anything there
                stream.flush()
        try:
            os.chdir(self._folder)
        except OSError:
            return True
        is_closed = any(stream.closed for stream in self._streams)
        is_moved = [_identity(descriptor) for descriptor in _OUTPUTS] != self._outputs
        return _end_children() or is_closed or is_moved


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _end_children() -> bool:
    """Kill what users' code started and left running; whether there was anything."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    import psutil  # type: ignore[import-untyped]

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
    return True


def fresh_torch() -> None:
    """Torch as every evaluation finds it, one thread first; nothing where it is not installed."""
    try:
        import torch
    except ImportError:  # the stage that needs it says so better
        return
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)


def storable(text: str, *, limit: int) -> str:
    """The end of `text` as a database takes it: no NUL, no lone surrogates."""
    text = text[-limit:]
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\\0").encode("utf-8", "replace").decode()
