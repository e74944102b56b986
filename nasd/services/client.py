"""The client's side: use the pair that runs, or start the owner; keep it alive as long as the handle is open.

Order of locks: clients.lock (shared, kept), then attach.lock for the instant of "is there an owner? else start one".
An owner is started with owner.lock already held and the old state.json removed, all under attach.lock, so a state that
is read under attach.lock while owner.lock is taken is always the present owner's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self
from urllib.parse import quote

import nasd
from nasd.errors import Unavailable
from nasd.services import passwords, postgres, valkey
from nasd.services.binaries import locate
from nasd.services.home import Home, prepare
from nasd.services.locks import open_lock, try_lock, unlock, write_pid
from nasd.services.state import Phase, forget_state, read_state

DatabaseRole = Literal["admin", "controller", "worker", "reader"]
RedisRole = Literal["admin", "controller", "worker"]
TIMEOUT_S = 60.0
_POLL_S = 0.02
_MAX_STARTS = 3


@dataclass(frozen=True, slots=True)
class Services:
    """A use of the running pair. While it is open the servers stay; closing the last one lets them leave.

    A killed holder counts as closed. Where a server dies it is started again under the same address: reconnect.
    Where the owner itself was killed, `revive` first.
    """

    home: Path
    role_prefix: str
    run_dir: Path
    _lock: IO[bytes] = field(repr=False)

    @property
    def lock_fd(self) -> int:
        """The descriptor that keeps the servers; a child that inherits it keeps them too."""
        return self._lock.fileno()

    def database_url(self, role: DatabaseRole) -> str:
        """A libpq URL. It holds the password: never log it or put it on a command line."""
        user = passwords.SUPERUSER if role == "admin" else f"{self.role_prefix}_{role}"
        password = passwords.read(Home(self.home), user)
        return f"postgresql://{user}:{password}@/{postgres.DATABASE}?host={quote(str(self.run_dir))}"

    def redis_url(self, role: RedisRole) -> str:
        """A URL for `redis.from_url`. `admin` may flush and configure; `worker` sees rq's keys alone."""
        password = passwords.read(Home(self.home), valkey.secret_name(role))
        return f"unix://{role}:{password}@{quote(str(self.run_dir / valkey.SOCKET_NAME))}"

    def role_passwords(self) -> dict[str, str]:
        """Role name to password for the three database roles, which the migrations create."""
        names = [f"{self.role_prefix}_{role}" for role in passwords.DATABASE_ROLES]
        return {name: passwords.read(Home(self.home), name) for name in names}

    def keep_redis_user(self, name: str, line: str | None) -> None:
        """Let a user of Valkey outlive its restarts: its line of an access list; None: no longer."""
        folder = valkey.devices(Home(self.home))
        folder.mkdir(mode=0o700, exist_ok=True)
        kept = folder / f"{name}.acl"
        if line is None:
            kept.unlink(missing_ok=True)
            return
        part = folder / f".{name}"
        part.write_text(line + "\n")
        part.replace(kept)

    def revive(self, *, timeout_s: float = TIMEOUT_S) -> None:
        """Start the pair again where its owner was killed; returns when both servers answer. Costs 5 ms otherwise.

        For reconnecting loops: a server that dies is restarted by the owner, but nobody restarts a killed owner.

        Raises:
            Unavailable: as `attach`.
        """
        _Attaching(Home(self.home), self.lock_fd, time.monotonic() + timeout_s).wait()

    def close(self) -> None:
        """Let go; a second call does nothing."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def attach(home: Path, *, role_prefix: str = "nasd", timeout_s: float = TIMEOUT_S) -> Services:
    """Use the pair of a home, started where it does not run; returns when both servers answer.

    Raises:
        Unavailable: the home can't serve, a wheel is missing, or a server did not start in time; names the log.
    """
    locate()  # before anything is written
    place = Home.at(home)
    prepare(place)
    lock = os.fdopen(open_lock(place / "clients.lock"), "r+b", buffering=0)
    try:
        _Attaching(place, lock.fileno(), time.monotonic() + timeout_s).wait()
        for role in passwords.DATABASE_ROLES:
            passwords.read_or_make(place, f"{role_prefix}_{role}")
    except BaseException:
        lock.close()
        raise
    return Services(home=place.path, role_prefix=role_prefix, run_dir=place.run_dir(), _lock=lock)


class _Attaching:
    """One attempt to attach."""

    def __init__(self, home: Home, clients_fd: int, deadline: float) -> None:
        self._home = home
        self._clients_fd = clients_fd
        self._deadline = deadline
        self._n_starts = 0

    def wait(self) -> None:
        while not try_lock(self._clients_fd, shared=True):  # an owner is leaving
            self._pause("the one that is leaving did not end")
        attach_fd = open_lock(self._home / "attach.lock")
        try:
            while not self._advance(attach_fd):
                self._pause("they do not answer")
        finally:
            os.close(attach_fd)

    def _advance(self, attach_fd: int) -> bool:
        """Start an owner where none is; True when both servers answer."""
        if not try_lock(attach_fd):
            return False
        owner_fd = open_lock(self._home / "owner.lock")
        try:
            if try_lock(owner_fd):
                self._start_owner(owner_fd)
                return False
            state = read_state(self._home)
        finally:
            os.close(owner_fd)  # never unlocked: an owner that was started shares this lock
            unlock(attach_fd)
        return state is not None and state.phase is Phase.READY and self._both_answer()

    def _both_answer(self) -> bool:
        run_dir = self._home.run_dir()
        password = passwords.read(self._home, valkey.secret_name("controller"))
        return postgres.is_accepting(run_dir) and valkey.is_answering(run_dir, password)

    def _start_owner(self, owner_fd: int) -> None:
        state = read_state(self._home)
        if self._n_starts > 0 and state is not None and state.phase is Phase.FAILED:
            raise Unavailable(f"the embedded services can't start: {state.error}")
        if self._n_starts == _MAX_STARTS:
            raise Unavailable(f"the embedded services end as soon as they start: see {self._home.services_log}")
        self._n_starts += 1
        forget_state(self._home)
        write_pid(owner_fd, None)
        _spawn_owner(self._home, owner_fd)

    def _pause(self, problem: str) -> None:
        if time.monotonic() > self._deadline:
            raise Unavailable(f"the embedded services of {self._home.path}: {problem}; see {self._home.services_log}")
        time.sleep(_POLL_S)


def _spawn_owner(home: Home, owner_fd: int) -> None:
    """Start the owner detached, with its lock; returns when it has left our family."""
    package_root = str(Path(nasd.__file__).parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (package_root, inherited)))}
    command = [sys.executable, "-P", "-m", "nasd.services.owner", str(home.path), "--lock-fd", str(owner_fd)]
    with home.services_log.open("ab") as log:
        started = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
            pass_fds=(owner_fd,),
            check=False,
        )
    if started.returncode != 0:
        raise Unavailable(f"the owner of the embedded services did not start: see {home.services_log}")
