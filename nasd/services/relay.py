"""Carrying bytes between a device's encrypted connection and a server's socket on this machine; a thread for each."""

from __future__ import annotations

import selectors
import socket
import ssl

_CHUNK = 64 * 1024
_LAST_ANSWER_S = 10.0
_MOST_WAITING = 256 * 1024  # bytes that one side has sent and the other has not taken


class Relay:
    """Runs until one side closes; what was sent before that still arrives."""

    def __init__(self, outer: ssl.SSLSocket, inner: socket.socket) -> None:
        self._outer, self._inner = outer, inner
        self._inward, self._outward = bytearray(), bytearray()
        self._is_over = False

    def run(self) -> None:
        """Carry; both sockets are left for the caller to close. Returns when it is over."""
        self._outer.setblocking(False)
        self._inner.setblocking(False)
        with selectors.DefaultSelector() as selector:
            while self._step() or not self._is_over:
                if not self._wait(selector):
                    return

    def _step(self) -> bool:
        """Move what can be moved now, until nothing can; whether something still waits to be taken."""
        moved = True
        while moved:
            moved = self._take_from_outer() | self._take_from_inner() | self._give(self._inner, self._inward)
            moved |= self._give(self._outer, self._outward)
        return bool(self._inward or self._outward)

    def _take_from_outer(self) -> bool:
        return self._take(self._outer, self._inward)

    def _take_from_inner(self) -> bool:
        return self._take(self._inner, self._outward)

    def _take(self, source: socket.socket, into: bytearray) -> bool:
        if self._is_over or len(into) >= _MOST_WAITING:
            return False
        try:
            content = source.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:  # broke off
            content = b""
        self._is_over = not content
        into += content
        return bool(content)

    def _give(self, target: socket.socket, waiting: bytearray) -> bool:
        if not waiting:
            return False
        try:
            n_sent = target.send(waiting)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:  # nobody takes it any more; the other side may still be owed an answer
            waiting.clear()
            self._is_over = True
            return False
        del waiting[:n_sent]
        return n_sent > 0

    def _wait(self, selector: selectors.BaseSelector) -> bool:
        """Until something can be moved; False where a last answer is not taken."""
        for end, into, waiting in (
            (self._outer, self._inward, self._outward),
            (self._inner, self._outward, self._inward),
        ):
            may_read = not self._is_over and len(into) < _MOST_WAITING
            _watch(selector, end, (selectors.EVENT_READ if may_read else 0) | (selectors.EVENT_WRITE if waiting else 0))
        return bool(selector.select(_LAST_ANSWER_S if self._is_over else None))


def _watch(selector: selectors.BaseSelector, end: socket.socket, events: int) -> None:
    known = selector.get_map().get(end)
    if known is None:
        if events:
            selector.register(end, events)
    elif events == 0:
        selector.unregister(end)
    elif known.events != events:
        selector.modify(end, events)
