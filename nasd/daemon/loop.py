"""What the four loops share: a connection that can be made anew, and the outermost seam around a tick."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from threading import Event
from typing import Generic, Protocol, TypeVar, runtime_checkable

from nasd.errors import Deposed
from nasd.ports.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")
BACKOFF_S, BACKOFF_MAX_S = 0.1, 2.0


@runtime_checkable
class Closable(Protocol):
    def close(self) -> None: ...


class Connected(Generic[T]):
    """A store made on first use, dropped after a failure, and then made again."""

    def __init__(self, factory: Callable[[], T]) -> None:
        self._factory = factory
        self._made: T | None = None

    def get(self) -> T:
        if self._made is None:
            self._made = self._factory()
        return self._made

    def drop(self) -> None:
        """Close what there is; a connection that is already dead may complain, which changes nothing."""
        made, self._made = self._made, None
        if isinstance(made, Closable):
            with contextlib.suppress(Exception):
                made.close()


class Loop(Protocol):
    """One of the controller's loops.

    Laws: `tick` reads, decides and carries out once, and answers how many seconds may pass until the next; after it
    raised, `reset` is called before the next tick and everything remembered comes from rows again.
    """

    @property
    def name(self) -> str: ...

    def tick(self) -> float: ...

    def reset(self) -> None: ...


def backoff_s(n_failures: int) -> float:
    """Doubling from 0.1 s to 2 s: a database that restarts is found again within seconds."""
    return min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** min(n_failures - 1, 10))


def run_loop(
    loop: Loop,
    *,
    ended: Event,
    clock: Clock,
    on_deposed: Callable[[], None],
    on_failed: Callable[[str], None],
    wake: Event | None = None,
) -> None:
    """Tick until `ended`; survive whatever a tick raises, leave when deposed.

    Args:
        ended: set when the controller stops or was deposed.
        wake: cuts the pause between two ticks short; whoever sets `ended` sets it too.
    """
    n_failures = 0
    try:
        while not ended.is_set():
            if wake is not None:
                wake.clear()  # before the tick: what arrives while it runs asks for another
                if ended.is_set():
                    return
            pause_s = _guarded(loop, on_deposed)
            if pause_s is None:
                n_failures += 1
                on_failed(loop.name)
                clock.wait(ended, backoff_s(n_failures))
                continue
            n_failures = 0
            if pause_s > 0:
                clock.wait(wake or ended, pause_s)
    finally:
        loop.reset()


def _guarded(loop: Loop, on_deposed: Callable[[], None]) -> float | None:
    """One tick; the pause after it, or None where it failed and the next one starts from rows."""
    try:
        return loop.tick()
    except Deposed as error:
        log.warning("deposed", extra={"fields": {"loop": loop.name, "epoch": error.epoch}})
        on_deposed()
        return 0.0
    except Exception:  # the outermost seam of a controller's loop
        log.exception("tick failed", extra={"fields": {"loop": loop.name}})
        loop.reset()
        return None
