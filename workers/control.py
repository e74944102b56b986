"""Control: a page of memory that a worker and its evaluating child share.

The worker writes what the child shall do, the child how far it is; both read without a system call, so that looking at
every optimiser step costs nothing.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from enum import IntEnum

_SIZE = mmap.PAGESIZE
_DIRECTIVE, _RUNNING, _STEP, _PAUSED = 0, 1, 8, 16
_U64 = struct.Struct("<Q")
_F64 = struct.Struct("<d")


class Order(IntEnum):
    """What the child shall do at its next step boundary."""

    CARRY_ON = 0
    STOP_EARLY = 1  # report what there is
    STOP = 2  # report nothing: drained, cancelled or lost


class Control:
    """One side's view of the page."""

    def __init__(self, descriptor: int) -> None:
        self._page = mmap.mmap(descriptor, _SIZE)

    @classmethod
    def create(cls) -> tuple[Control, int]:
        """A fresh page and its file descriptor, for the child to inherit; the caller closes it."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("nasd-control", 0)
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, _SIZE)
        return cls(descriptor), descriptor

    def reset(self) -> None:
        """Before each evaluation."""
        self._page[0:24] = bytes(24)

    @property
    def order(self) -> int:
        return self._page[_DIRECTIVE]

    @order.setter
    def order(self, value: int) -> None:
        self._page[_DIRECTIVE] = max(value, self._page[_DIRECTIVE])  # an order is never taken back

    @property
    def is_running(self) -> bool:
        """Whether the evaluation itself has begun (modules are imported, the recipe is read)."""
        return self._page[_RUNNING] != 0

    def mark_running(self) -> None:
        self._page[_RUNNING] = 1

    @property
    def step(self) -> int:
        """The last step boundary that was reached."""
        return int(_U64.unpack_from(self._page, _STEP)[0])

    @step.setter
    def step(self, value: int) -> None:
        _U64.pack_into(self._page, _STEP, value)

    @property
    def paused_s(self) -> float:
        """Seconds of this evaluation spent waiting for another worker's measurement."""
        return float(_F64.unpack_from(self._page, _PAUSED)[0])

    @paused_s.setter
    def paused_s(self, value: float) -> None:
        _F64.pack_into(self._page, _PAUSED, value)

    def close(self) -> None:
        self._page.close()
