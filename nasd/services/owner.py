"""The owner: the detached process whose children Postgres and Valkey are. `python -m nasd.services.owner HOME`.

It holds home/owner.lock, restarts a server that dies, and leaves when it can take home/clients.lock for itself, which
means that no client holds it. It keeps that lock until it is gone, so a client that comes meanwhile waits and then
starts the next owner. One thread only: the servers' death signal is bound to the thread that started them.
"""

from __future__ import annotations

import argparse
import logging
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn

from nasd.errors import NasdError, Unavailable
from nasd.services import postgres, valkey
from nasd.services.binaries import locate_for
from nasd.services.doorkeeper import Doorkeeper
from nasd.services.home import Home, make_server_folder, server_account
from nasd.services.locks import open_lock, try_lock, unlock, write_pid
from nasd.services.process import Server
from nasd.services.state import OwnerState, Phase, forget_state, write_state

GRACE_S = 10.0  # an owner started by hand waits this long for its first client
POLL_S = 0.5
_START_POLL_S = 0.02
_MAX_FAILED_STARTS = 3
_STOP_STEPS_S = (20.0, 5.0, 5.0)  # how long each stop signal may take
_MAX_LOG_BYTES = 10 * 2**20
_LOG = logging.getLogger("nasd.services")


class Owner:
    """Both servers and the decision when to leave."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._clients_fd = open_lock(home / "clients.lock")
        self._wake = _Wake()
        self._servers: dict[str, Server] = {}
        self._door = Doorkeeper(home)
        self._published: OwnerState | None = None
        self._started = time.monotonic()
        self._had_client = False
        self._has_renewed_valkey = False

    def run(self) -> None:
        """Serve until nobody needs it any more or SIGTERM asks it to leave.

        Raises:
            Unavailable: the servers can't be started; the state file says so too.
        """
        try:
            self._publish()
            self._prepare()
            while not self._must_leave():
                for server in self._servers.values():
                    server.tick(time.monotonic())
                    self._give_up_if_hopeless(server)
                self._door.tick(time.monotonic())
                self._publish()
                self._wake.wait(POLL_S if self._is_ready() else _START_POLL_S)
        except NasdError as error:
            failed = OwnerState(phase=Phase.FAILED, owner_pid=os.getpid(), error=str(error))
            write_state(self._home, failed)
            self._stop_servers()
            raise
        forget_state(self._home)
        self._stop_servers()

    def _prepare(self) -> None:
        home, account = self._home, server_account()
        for name in ("postgres", "valkey", "tls"):
            _rotate(home.log(name))
        binaries = locate_for(account, home)
        for folder in (home.run_dir(), home / "valkey"):
            make_server_folder(folder, account)
        valkey_server = Server(valkey.program(home, binaries, account))
        self._servers["valkey"] = valkey_server
        valkey_server.tick(time.monotonic())  # comes up while Postgres prepares its data
        postgres.initialise(home, binaries, account)
        self._servers["postgres"] = Server(postgres.program(home, binaries, account))

    def _must_leave(self) -> bool:
        if self._wake.is_asked_to_leave:
            _LOG.info("asked to leave")
            return True
        if (self._home / "keep").exists():
            return False
        if not try_lock(self._clients_fd):
            self._had_client = True
            return False
        if self._had_client or time.monotonic() - self._started > GRACE_S:
            _LOG.info("the last client has left")
            return True  # and keeps the lock
        unlock(self._clients_fd)  # within the grace the first client must get in
        return False

    def _give_up_if_hopeless(self, server: Server) -> None:
        if server.n_failed_starts < _MAX_FAILED_STARTS:
            return
        if server.program.name == "valkey" and not self._has_renewed_valkey:
            self._has_renewed_valkey = True
            self._renew_valkey(server)
            return
        if server.was_ready:  # what worked may work again; clients wait meanwhile
            return
        log = server.program.log
        raise Unavailable(f"{server.program.name} does not start: {_last_line(log)} (all of it: {log})")

    def _renew_valkey(self, server: Server) -> None:
        """Begin with an empty Valkey: what it holds is only a doorbell, and unreadable data must not stop a study."""
        aside = self._home / "valkey.broken"
        if aside.exists():
            shutil.rmtree(aside)
        server.program.folder.rename(aside)
        make_server_folder(server.program.folder, server.program.account)
        server.n_failed_starts = 0
        _LOG.warning("valkey does not start with its data; moved that to %s and begin anew", aside)

    def _is_ready(self) -> bool:
        return bool(self._servers) and all(server.is_ready for server in self._servers.values())

    def _publish(self) -> None:
        pids = {name: server.pid for name, server in self._servers.items()}
        phase = Phase.READY if self._is_ready() else Phase.STARTING
        state = OwnerState(
            phase=phase,
            owner_pid=os.getpid(),
            postgres_pid=pids.get("postgres"),
            valkey_pid=pids.get("valkey"),
            terminator_pid=self._door.pid,
        )
        if state != self._published:
            write_state(self._home, state)
            self._published = state

    def _stop_servers(self) -> None:
        servers = [*self._door.servers(), *self._servers.values()]
        for step, limit_s in enumerate(_STOP_STEPS_S):
            asked = [server for server in servers if server.ask_to_stop(step)]
            deadline = time.monotonic() + limit_s
            while not all(server.has_stopped() for server in asked) and time.monotonic() < deadline:
                self._wake.wait(_START_POLL_S)
        _LOG.info("stopped")


class _Wake:
    """Sleeps that end at once when a child ends or a signal asks us to leave."""

    def __init__(self) -> None:
        self.is_asked_to_leave = False
        self._reading, writing = socket.socketpair()
        self._writing = writing
        for end in (self._reading, writing):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._reading, selectors.EVENT_READ)
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._leave)
        for ignored in (signal.SIGINT, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)

    def wait(self, limit_s: float) -> None:
        if self._selector.select(limit_s):
            self._reading.recv(4096)

    def _leave(self, *_: object) -> None:
        self.is_asked_to_leave = True


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it wrote nothing"


def _detach() -> None:
    """Go on as a child of nobody, so that the command that started us has nothing to reap."""
    if os.fork() != 0:
        os._exit(0)


def main() -> NoReturn:
    """Become the owner of a home; the client that starts us passes on the lock that it already holds."""
    parser = argparse.ArgumentParser(prog="python -m nasd.services.owner")
    parser.add_argument("home", type=Path)
    parser.add_argument("--lock-fd", type=int, help="an inherited descriptor that already holds home/owner.lock")
    options = parser.parse_args()
    _detach()
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s owner[%(process)d] %(message)s", stream=sys.stderr)
    home = Home.at(options.home)
    lock_fd = open_lock(home / "owner.lock") if options.lock_fd is None else options.lock_fd
    os.set_inheritable(lock_fd, False)  # the servers must not hold it
    if not try_lock(lock_fd):
        _LOG.info("another owner serves %s", home.path)
        sys.exit(0)
    write_pid(lock_fd, os.getpid())
    try:
        Owner(home).run()
    except NasdError:
        _LOG.exception("can't serve %s", home.path)
        sys.exit(2)
    sys.exit(0)


if __name__ == "__main__":
    main()
