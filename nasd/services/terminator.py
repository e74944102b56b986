"""The pair's door to other machines: takes TLS connections on one port and passes them on to the sockets of the home.

`python -m nasd.services.terminator HOME`, a child of the owner. What a connection wants shows in its first bytes:
Postgres (its own request for TLS, or TLS that names `postgresql`), Redis (`*`), or artifacts (HTTP). The servers demand
their passwords as ever; from Postgres's roles only those of added devices get that far.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from nasd.errors import NasdError
from nasd.services import listening, startup, valkey
from nasd.services.home import SOCKET_NAME, Account, Home, server_account
from nasd.services.relay import Relay

_MOST_AT_ONCE = 400
_HANDSHAKE_S = 15.0  # a board's processor takes its time
_HTTP = (b"GET ", b"PUT ", b"HEAD ")
_TLS_HELLO = b"\x16"
_PR_SET_PDEATHSIG = 1
_LOG = logging.getLogger("nasd.services")


class Refused(NasdError):
    """A connection that is not let in; never leaves this module."""


class Terminator:
    """One listening socket; a thread for each connection."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._certificate = home / "etc" / "tls.pem"
        self._loaded: tuple[int, ssl.SSLContext] | None = None
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._n_refused = 0
        self._said_at = float("-inf")

    def serve(self, listener: socket.socket) -> NoReturn:
        """Until the process is told to end."""
        self._context()
        while True:
            connection, address = listener.accept()
            if not self._free.acquire(blocking=False):
                connection.close()
                self._note(f"{_MOST_AT_ONCE} connections are open")
                continue
            threading.Thread(target=self._handle, args=(connection, str(address[0])), daemon=True).start()

    def _handle(self, connection: socket.socket, peer: str) -> None:
        try:
            with connection:
                _keep_alive(connection)
                connection.settimeout(_HANDSHAKE_S)
                self._let_in(connection)
        except (OSError, NasdError) as error:
            self._note(f"{peer}: {error}")
        finally:
            self._free.release()

    def _let_in(self, connection: socket.socket) -> None:
        is_postgres = startup.asks_for_tls(connection) if connection.recv(1, socket.MSG_PEEK) != _TLS_HELLO else False
        with self._context().wrap_socket(connection, server_side=True) as outer:
            if is_postgres or outer.selected_alpn_protocol() == "postgresql":
                target, first = self._postgres(outer)
            else:
                first = outer.recv(65536)
                target = self._target(first)
            with contextlib.closing(target):
                target.sendall(first)
                Relay(outer, target).run()
            with contextlib.suppress(OSError):
                outer.unwrap()

    def _postgres(self, outer: ssl.SSLSocket) -> tuple[socket.socket, bytes]:
        try:
            first = startup.message(outer)
        except startup.NotLetIn as error:
            outer.sendall(startup.refusal("28000", str(error)))
            raise Refused(str(error)) from error
        try:
            return _unix(self._home.run_dir() / SOCKET_NAME), first
        except OSError as error:
            outer.sendall(startup.refusal("57P03", "the database is starting or stopping"))
            raise Refused(f"postgres: {error}") from error

    def _target(self, first: bytes) -> socket.socket:
        if first.startswith(b"*"):
            return _unix(self._home.run_dir() / valkey.SOCKET_NAME)
        if first.startswith(_HTTP):
            for address in listening.artifacts_addresses(self._home):
                with contextlib.suppress(ConnectionRefusedError):  # its controller was killed
                    return socket.create_connection(address, timeout=_HANDSHAKE_S)
            raise Refused("no artifacts are served now")
        raise Refused("speaks nothing that is served here")

    def _context(self) -> ssl.SSLContext:
        """With the certificate as it is now: it is renewed when this machine gets another name."""
        with self._lock:
            at = self._certificate.stat().st_mtime_ns
            if self._loaded is None or self._loaded[0] != at:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.minimum_version = ssl.TLSVersion.TLSv1_3
                context.set_alpn_protocols(["postgresql", "http/1.1"])
                context.load_cert_chain(self._certificate)
                self._loaded = at, context
            return self._loaded[1]

    def _note(self, what: str) -> None:
        """Log refusals, at most one line in ten seconds: whoever scans a network must not fill the disk."""
        with self._lock:
            self._n_refused += 1
            now = time.monotonic()
            if now - self._said_at > 10.0:
                _LOG.info("not let in, the last of %d: %s", self._n_refused, what)
                self._said_at, self._n_refused = now, 0


def _unix(path: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    try:
        found.settimeout(_HANDSHAKE_S)
        found.connect(str(path))
    except OSError:
        found.close()
        raise
    return found


def _keep_alive(connection: socket.socket) -> None:
    """A device that lost its power must not hold a connection for ever."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _become(account: Account | None, parent: int) -> None:
    """Go on as the servers' user, bound to the owner's life: a change of user takes that binding away."""
    if account is not None:
        os.setgroups([])
        os.setgid(account.gid)
        os.setuid(account.uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(0)


def main() -> NoReturn:
    """Listen as home/listen.json says until SIGTERM."""
    parent = os.getppid()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s tls[%(process)d] %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.stack_size(256 * 1024)
    home = Home.at(Path(sys.argv[1]))
    arranged = listening.read(home)
    if arranged is None:
        sys.exit(0)
    with listening.open_socket(arranged.host, arranged.port) as listener:
        _become(server_account(), parent)
        _LOG.info("listening on %s, port %d", arranged.host, arranged.port)
        Terminator(home).serve(listener)


if __name__ == "__main__":
    main()
