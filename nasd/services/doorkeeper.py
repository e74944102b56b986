"""Starting, changing and ending the terminator, as home/listen.json says; part of the owner.

It is no part of being ready: a study on this machine goes on while nobody else can reach it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import nasd
from nasd.errors import UserError
from nasd.services import listening
from nasd.services.home import Home
from nasd.services.listening import Listening
from nasd.services.process import Program, Server


class Doorkeeper:
    """At most one terminator, for what is arranged now."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._arranged: Listening | None = None
        self._server: Server | None = None
        self._leaving: Server | None = None

    @property
    def pid(self) -> int | None:
        """Of one that listens."""
        return self._server.pid if self._server is not None and self._server.is_ready else None

    def tick(self, now: float) -> None:
        """Look once; never waits."""
        if self._leaving is not None and not self._leaving.has_stopped():
            return
        self._leaving = None
        try:
            arranged = listening.read(self._home)
        except UserError:
            return  # who changes it by hand is not done yet
        if arranged is None or self._is_elsewhere(arranged):
            self._end()
        if arranged is not None and self._server is None and self._leaving is None:
            self._server = Server(program(self._home, arranged))
        self._arranged = arranged
        if self._server is not None:
            self._server.tick(now)

    def servers(self) -> list[Server]:
        """What has to be stopped when the owner leaves."""
        return [server for server in (self._server, self._leaving) if server is not None]

    def _is_elsewhere(self, arranged: Listening) -> bool:
        before = self._arranged
        return before is not None and (before.host, before.port) != (arranged.host, arranged.port)

    def _end(self) -> None:
        if self._server is not None:
            self._server.ask_to_stop(0)
            self._server, self._leaving = None, self._server


def program(home: Home, arranged: Listening) -> Program:
    """How to run it. It starts as ourselves, to reach Python and the port, and goes on as the servers' user."""
    return Program(
        name="tls",
        argv=(sys.executable, "-P", "-m", "nasd.services.terminator", str(home.path)),
        lock=home / "tls.lock",
        log=home.log("tls"),
        folder=home.path,
        account=None,
        stop_signals=(signal.SIGTERM,),
        clear_stale=lambda: None,
        answers=lambda _pid: is_listening(arranged),
        environment={
            "PYTHONPATH": os.pathsep.join(
                filter(None, (str(Path(nasd.__file__).parent.parent), os.environ.get("PYTHONPATH")))
            )
        },
    )


def is_listening(arranged: Listening) -> bool:
    """Whether somebody takes connections there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(arranged.host, arranged.host)  # noqa: S104 - compared
    try:
        socket.create_connection((host, arranged.port), timeout=2.0).close()
    except OSError:
        return False
    return True
