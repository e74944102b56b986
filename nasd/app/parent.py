"""A child that `nasd run` started leaves with it, however that one ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

PARENT_VARIABLE = "NASD_PARENT"
_PR_SET_PDEATHSIG = 1


def leave_with_parent(parent: int | None) -> None:
    """Send this process SIGTERM once `parent` is gone: by the kernel on Linux, by looking every second elsewhere.

    Call it from the main thread; the kernel's signal follows the thread that started this process.
    """
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(parent,), daemon=True, name="parent").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)
