"""Hooks: what a stage calls while it works, inside the evaluating child."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from nasd.domain.measurement import Measurement
from workers.control import Control, Order
from workers.hostlock import HostLock


class Stopped(BaseException):
    """Told to stop and report nothing. Not an Exception, so that users' `except Exception` lets it through."""


class StoppedEarly(BaseException):
    """Told to stop and report what there is.

    Attributes:
        values: what the stage knew so far by name.
        measurements: the same, once the stage has made them into measurements.
    """

    def __init__(self, values: Mapping[str, float]) -> None:
        super().__init__("stopped early")
        self.values = dict(values)
        self.measurements: tuple[Measurement, ...] = ()


class Hooks:
    """One evaluation's ear: orders of the worker, and other workers' wish to measure."""

    def __init__(
        self,
        control: Control,
        lock: HostLock,
        *,
        allow: frozenset[str] = frozenset(),
        scratch: Path | None = None,
        outbox: Path | None = None,
    ) -> None:
        """Of an evaluation that begins.

        Args:
            control: the page shared with the worker.
            lock: of this host.
            allow: top-level packages that the user's code may come from.
            scratch: a folder for checkpoints that the next attempt on this host finds; None: there is none.
            outbox: an empty folder for artifacts; None: this stage makes none. What is in it counts once it is named in
                `produced`, by format, and the evaluation completes.
        """
        self._control = control
        self._lock = lock
        self._paused_s = 0.0
        self.allow, self.scratch, self.outbox = allow, scratch, outbox
        self.partial: dict[str, float] = {}
        self.produced: dict[str, Path] = {}

    @property
    def lock_directory(self) -> Path:
        """Of the host's measuring lock, which all workers of the host share."""
        return self._lock.directory

    def at_step(self, step: int) -> None:
        """A training step's boundary: obey, then wait while somebody measures; keeps measurers out until the next one.

        Raises:
            Stopped, StoppedEarly: the worker says so.
        """
        self._boundary(step, share=True)

    def at_own_step(self, step: int) -> bool:
        """The same for a user's function, whose steps may be long: measurers don't wait for it.

        Returns:
            Whether it shall stop early and return what there is.

        Raises:
            Stopped: the worker says so.
        """
        try:
            self._boundary(step, share=False)
        except StoppedEarly:
            return True
        return False

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nothing else of nasd's runs on this host inside."""
        with self._lock.exclusive(self._obey) as waited_s:
            self._paused(waited_s)
            yield

    def leave(self) -> None:
        """The evaluation is over."""
        self._lock.leave()

    def _boundary(self, step: int, *, share: bool) -> None:
        self._control.step = step
        self._obey()
        if waited_s := self._lock.boundary(self._obey, share=share):
            self._paused(waited_s)

    def _obey(self) -> None:
        order = self._control.order
        if order == Order.STOP:
            raise Stopped
        if order == Order.STOP_EARLY:
            raise StoppedEarly(self.partial)

    def _paused(self, seconds: float) -> None:
        self._paused_s += seconds
        self._control.paused_s = self._paused_s
