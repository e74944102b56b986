"""The pipe between a worker and its evaluating child: length-prefixed JSON, never pickle."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterable
from typing import Any

_LENGTH = struct.Struct("<I")
_CHUNK = 1 << 16


class Wire:
    """One end. Not shared between threads."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._buffer = bytearray()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, messages: Iterable[object]) -> None:
        """Send in one system call.

        Raises:
            OSError: the other end is gone.
        """
        packed = bytearray()
        for message in messages:
            body = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
            packed += _LENGTH.pack(len(body)) + body
        self._socket.sendall(packed)

    def receive(self) -> Any:
        """The next message; waits for it. None when the other end is gone."""
        while (message := self._unpack()) is None:
            if not self._fill():
                return None
        return message

    def receive_ready(self) -> Any:
        """The next message if it is complete after one read, else None; `EOFError` when the other end is gone."""
        if (message := self._unpack()) is None:
            if not self._fill():
                raise EOFError
            message = self._unpack()
        return message

    def close(self) -> None:
        self._socket.close()

    def _fill(self) -> bool:
        try:
            chunk = self._socket.recv(_CHUNK)
        except ConnectionError:
            return False
        self._buffer += chunk
        return bool(chunk)

    def _unpack(self) -> Any:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        message = json.loads(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return message
