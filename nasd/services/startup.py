"""The first bytes of a Postgres connection, as the frontend/backend protocol 3 writes them: who asks for what."""

from __future__ import annotations

import re
import socket
import struct

from nasd.errors import NasdError

_LENGTH = struct.Struct("!i")
_REQUEST = struct.Struct("!ii")
_SSL, _GSS, _CANCEL = 80877103, 80877104, 80877102
_MOST_BYTES = 10_000  # Postgres's own limit
_DEVICE = re.compile(r"[a-z][a-z0-9_]*_device_[a-z0-9_-]+", re.ASCII)


class NotLetIn(NasdError):
    """Who asks is no added device, or speaks something else."""


def asks_for_tls(connection: socket.socket) -> bool:
    """Answer a client's requests until it begins with TLS; True.

    Raises:
        NotLetIn: it wants to go on without.
    """
    for _ in range(2):
        length, code = _REQUEST.unpack(_exactly(connection, _REQUEST.size))
        if (length, code) == (_REQUEST.size, _SSL):
            connection.sendall(b"S")
            return True
        if (length, code) != (_REQUEST.size, _GSS):
            break
        connection.sendall(b"N")
    refusing = "this address speaks TLS alone: sslmode=verify-full"
    connection.sendall(refusal("28000", refusing))
    raise NotLetIn(refusing)


def message(connection: socket.socket) -> bytes:
    """The whole start-up message of an added device, or its request to cancel a statement.

    Raises:
        NotLetIn: another role asks, or it is no such message.
    """
    head = _exactly(connection, _LENGTH.size)
    (length,) = _LENGTH.unpack(head)
    if not _REQUEST.size <= length <= _MOST_BYTES:
        raise NotLetIn("no start-up message of Postgres")
    body = _exactly(connection, length - _LENGTH.size)
    (code,) = _LENGTH.unpack(body[: _LENGTH.size])
    if code == _CANCEL:
        return head + body
    words = body[_LENGTH.size :].split(b"\0")
    user = dict(zip(words[::2], words[1::2], strict=False)).get(b"user", b"").decode(errors="replace")
    if code >> 16 != 3 or not _DEVICE.fullmatch(user):
        raise NotLetIn(f"role {user[:63]!r} can't come from other machines: only devices that were added can")
    return head + body


def refusal(state: str, sentence: str) -> bytes:
    """A fatal error as Postgres would send it."""
    fields = (("S", "FATAL"), ("V", "FATAL"), ("C", state), ("M", sentence))
    body = b"".join(f"{key}{value}".encode() + b"\0" for key, value in fields) + b"\0"
    return b"E" + _LENGTH.pack(len(body) + _LENGTH.size) + body


def _exactly(connection: socket.socket, n: int) -> bytes:
    content = b""
    while len(content) < n:
        more = connection.recv(n - len(content))
        if not more:
            raise NotLetIn("broke off")
        content += more
    return content
