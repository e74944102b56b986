"""The home folder of the embedded pair: what lies where, who owns it, and whether it can serve at all.

    home/  owner.lock attach.lock clients.lock   who owns, who decides, who uses (locks.py)
           postgres.lock valkey.lock             held by the server itself for as long as one process of it lives
           keep                                  exists: the owner stays without clients
           state.json                            what the owner says of itself
           secrets/  logs/                       ours, 0700
           etc/  bin/                            ours, readable by the servers
           postgres/ valkey/ run/                the servers', 0700

As root the servers run as `nobody`. Root never writes inside a folder that `nobody` owns: a link put there would
turn the write against any file of the machine.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from nasd.errors import Unavailable

MIN_FREE_BYTES = 200 * 2**20  # Postgres stops when its disk is full, so nothing is begun close to that
MAX_SOCKET_PATH_BYTES = 100  # the kernels' limit is 104 (macOS) or 108 (Linux), with the final NUL
SOCKET_NAME = ".s.PGSQL.5432"
ROOT_HOMES = Path("/var/lib/nasd")


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged user that root runs the servers as."""

    uid: int
    gid: int


def server_account() -> Account | None:
    """Who the servers run as: `nobody` for root (Postgres refuses root), None for everyone else (themselves)."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise Unavailable(
            "root can't run Postgres and this machine has no user 'nobody': run nasd as an ordinary user,"
            " or set NASD_DATABASE_URL and NASD_REDIS_URL"
        ) from error
    return Account(entry.pw_uid, entry.pw_gid)


@dataclass(frozen=True, slots=True)
class Home:
    """Paths of one home; see the module's drawing."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> Home:
        """The home at a path, links resolved so that every process speaks of the same one."""
        return cls(path.expanduser().resolve())

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def services_log(self) -> Path:
        return self.path / "logs" / "services.log"

    def log(self, name: str) -> Path:
        """The log of one server."""
        return self.path / "logs" / f"{name}.log"

    def run_dir(self) -> Path:
        """Where the sockets lie: home/run, or a short folder in /tmp where that would be too long for a socket."""
        inside = self.path / "run"
        if len(os.fsencode(inside / SOCKET_NAME)) <= MAX_SOCKET_PATH_BYTES:
            return inside
        account = server_account()
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        return Path("/tmp") / f"nasd-{account.uid if account else os.geteuid()}-{digest}"  # noqa: S108 (checked below)


def default_home(study_dir: Path) -> Path:
    """`.nasd` beside the study; for root, where `nobody` can't enter that, a folder in /var/lib/nasd.

    The latter is named after the study's folder, so the same folder always finds the same home.
    """
    folder = study_dir.expanduser().resolve()
    account = server_account()
    if account is None or _can_enter(folder, account):
        return folder / ".nasd"
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.name).strip("-")[:32] or "study"
    return ROOT_HOMES / f"{slug}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"


def prepare(home: Home) -> None:
    """Make what a client needs of the home, or say why it can't serve.

    Raises:
        Unavailable: it belongs to another user, its disk is nearly full, it can't be written to or entered.
    """
    require_own(home.path)
    require_space(home.path)
    try:
        _make_folders(home)
    except OSError as error:
        raise Unavailable(
            f"can't make the home folder {home.path}: {error.strerror}. Choose another with NASD_HOME"
        ) from error
    account = server_account()
    if account is not None and not _can_enter(home.path, account):
        raise Unavailable(
            f"home folder {home.path} can't be entered by 'nobody', the user root's servers run as:"
            f" set NASD_HOME to a folder in {ROOT_HOMES}"
        )


def require_own(path: Path) -> None:
    """Raise Unavailable where the home exists and is another user's, or is no folder."""
    if not path.exists():
        return
    if not path.is_dir():
        raise Unavailable(f"home {path} is not a folder: remove it or choose another with NASD_HOME")
    owner = path.stat().st_uid
    if owner != os.geteuid():
        raise Unavailable(
            f"home folder {path} belongs to user {_user_name(owner)} and you are {_user_name(os.geteuid())}:"
            " run as that user or choose another home with NASD_HOME"
        )


def require_space(path: Path, *, min_free_bytes: int = MIN_FREE_BYTES) -> None:
    """Raise Unavailable where the disk that holds (or would hold) the path is nearly full."""
    free = shutil.disk_usage(_nearest_existing(path)).free
    if free < min_free_bytes:
        raise Unavailable(
            f"only {free / 2**20:.0f} MiB are free on the disk of {path} and at least {min_free_bytes / 2**20:.0f} MiB"
            " are needed: free some, or choose another disk with NASD_HOME"
        )


def make_server_folder(path: Path, account: Account | None) -> None:
    """Make a 0700 folder that the servers own; raise Unavailable where something else stands there."""
    uid = account.uid if account else os.geteuid()
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()  # not stat: in /tmp anybody may have put a link here
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
            raise Unavailable(f"{path} is not a private folder of user {_user_name(uid)}: remove it") from None
        return
    if account is not None:
        os.chown(path, account.uid, account.gid)


def write_for_server(path: Path, text: str, account: Account | None) -> None:
    """Write a 0600 file that the server owns, into a folder that we own."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    if account is not None:
        os.chown(temporary, account.uid, account.gid)
    temporary.replace(path)


def is_usable_by(path: Path, account: Account) -> bool:
    """Whether the account may read and execute a file."""
    return _can_enter(path.parent, account) and _bits(path.stat(), account) & 5 == 5


def _make_folders(home: Home) -> None:
    is_root = os.geteuid() == 0
    missing = [folder for folder in (home.path, *home.path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        if is_root:
            folder.chmod(0o711 if folder == home.path else 0o755)  # `nobody` must get through, whatever the umask is
        elif folder == home.path:
            folder.chmod(0o700)
    for name in ("secrets", "logs"):
        (home / name).mkdir(mode=0o700, exist_ok=True)
    for name in ("etc", "bin"):
        (home / name).mkdir(exist_ok=True)
        (home / name).chmod(0o755 if is_root else 0o700)
    if not (home / ".gitignore").exists():
        (home / ".gitignore").write_text("*\n")  # a home beside the study must not be committed: it holds passwords


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _can_enter(folder: Path, account: Account) -> bool:
    start = _nearest_existing(folder)
    return all(_bits(part.stat(), account) & 1 for part in (start, *start.parents))


def _bits(found: os.stat_result, account: Account) -> int:
    """The rwx bits that count for the account, which is in no further group."""
    shift = 6 if found.st_uid == account.uid else 3 if found.st_gid == account.gid else 0
    return found.st_mode >> shift & 7


def _user_name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name!r}"
    except KeyError:
        return str(uid)
