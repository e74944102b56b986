"""Adding, revoking and draining devices: the database's login, Redis's user and the token belong together."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from nasd.app.endpoints import Endpoints, prepare
from nasd.app.reach import Reach, reach
from nasd.app.reading import connected, endpoints, existing_home
from nasd.config import Settings
from nasd.domain.ids import ANYWHERE, DeviceKind
from nasd.domain.joining import KIND, NAME, JoinToken
from nasd.errors import Unavailable, UserError
from nasd.queue import access
from nasd.queue.doorbell import RqDoorbell
from nasd.store import views
from nasd.store.connect import DatabaseAway
from nasd.store.devices import DeviceRow, PgDevices

_LONGEST_S = 30 * 86400.0  # a token that lies about for longer is a password that lies about


@dataclass(frozen=True, slots=True)
class Added:
    """A device that may join.

    Attributes:
        token: to be shown once, to whoever asked.
        notes: what the user should know.
    """

    name: str
    kind: str
    token: str = field(repr=False)
    expires_at: datetime
    address: str
    notes: tuple[str, ...]


@contextmanager
def devices(settings: Settings) -> Iterator[tuple[PgDevices, Endpoints]]:
    """The devices of the database that is meant here, its schema brought to this version where it is the embedded one.

    Raises:
        UserError, Unavailable: there is no database, or it can't be used.
    """
    with endpoints(settings, None) as found:
        try:
            prepare(found, settings)
            yield PgDevices(found.database["controller"]), found
        except DatabaseAway as error:
            raise Unavailable(f"the database can't be used: {error}") from error


def add(settings: Settings, name: str, kind: str, *, address: str | None, valid_s: float) -> Added:
    """Give a device a login of its own and make the token that it joins with.

    Raises:
        UserError: no such name, kind or time; a device of that name has joined already.
        Unavailable: no other machine can reach the services, or not encrypted.
    """
    _check(name, kind, valid_s)
    try:
        existing_home(settings, None)
    except UserError as error:
        raise UserError(
            f"{error}. For devices of other machines begin with `nasd services up --listen ADDRESS`"
        ) from error
    with devices(settings) as (known, found):
        where, doubts = reach(settings, found, address), _unmeasured(found, kind)
        secret, redis_password = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        role, ends_at = known.add(name, kind, secret=secret, redis_password=redis_password, valid_s=valid_s)
        is_lasting = _let_into_redis(found, role, redis_password, DeviceKind(kind))
        token = JoinToken(name, kind, secret, int(ends_at.timestamp()), where.for_role(role))
        notes = (*_notes(where, is_lasting), *doubts)
        return Added(name, kind, token.encode(), ends_at, where.database, notes)


def revoke(settings: Settings, name: str) -> DeviceRow:
    """Shut a device out of the database and of Redis, open sessions included; its work goes to others.

    Raises:
        UserError: there is no such device in use.
        Unavailable: Redis can't be reached; the database has shut it out by then. The same again mends it.
    """
    with devices(settings) as (known, found):
        role = known.revoke(name)
        row = _known(known, name)
        if role is None and not row.is_revoked:
            raise _unknown(known, name)
        if found.services is not None:
            found.services.keep_redis_user(row.role, None)
        access.remove(_redis_admin(found), row.role, save=found.services is None)
        bell = RqDoorbell(found.redis["controller"])
        for kind in (DeviceKind(row.device_kind), ANYWHERE):
            bell.ring(kind)  # for what it held
        bell.close()
        return row


def drain(settings: Settings, name: str, *, undo: bool) -> DeviceRow:
    """Give a device no more work, or work again.

    Raises:
        UserError: there is no such device in use.
    """
    with devices(settings) as (known, _):
        if not known.drain(name, undo=undo):
            raise _unknown(known, name)
        return _known(known, name)


def show(settings: Settings, name: str) -> DeviceRow:
    """One device.

    Raises:
        UserError: there was never one of that name.
    """
    with devices(settings) as (known, _):
        return _known(known, name)


def _let_into_redis(found: Endpoints, role: str, password: str, kind: DeviceKind) -> bool:
    """Make its user there; False where the server will forget it at its next start."""
    if found.services is not None:
        found.services.keep_redis_user(role, access.line(role, password, kind))
    return access.add(_redis_admin(found), role, password, kind, save=found.services is None)


def _redis_admin(found: Endpoints) -> str:
    return found.redis["controller"] if found.services is None else found.services.redis_url("admin")


def _notes(where: Reach, is_lasting: bool) -> tuple[str, ...]:
    if is_lasting:
        return where.notes
    forgetful = "Redis forgets the device's user when it restarts, having no aclfile; the device then looks by itself"
    return (*where.notes, forgetful)


def _unmeasured(found: Endpoints, kind: str) -> tuple[str, ...]:
    """What to know where no study that is there measures on this kind: a slip, or the study comes later."""
    with connected(found, "reader") as connection:
        named = sorted({each for study in views.studies(connection) for each in study.device_kinds})
    if not named or kind in named:
        return ()
    return (f"no study measures on {kind} yet; the kinds of those here: {', '.join(named)}",)


def _check(name: str, kind: str, valid_s: float) -> None:
    if not NAME.fullmatch(name):
        raise UserError(f"device {name}: a name is up to 24 small letters, digits and -, beginning with a letter")
    if not KIND.fullmatch(kind) or kind == ANYWHERE:
        raise UserError(
            f"--kind {kind}: a kind is up to 31 small letters, digits and -, beginning with a letter, and not"
            f' "{ANYWHERE}"; a study names it in its objectives: on = ["{kind.lower() if kind.isalnum() else "pi5"}"]'
        )
    if valid_s > _LONGEST_S:
        raise UserError("--valid: a token is good for 30 days at most; make it when the device is at hand")


def _known(known: PgDevices, name: str) -> DeviceRow:
    row = known.find(name)
    if row is None:
        raise _unknown(known, name)
    return row


def _unknown(known: PgDevices, name: str) -> UserError:
    names = ", ".join(row.name for row in known.all(revoked=False)) or "none yet: nasd device add NAME --kind KIND"
    return UserError(f"there is no device {name} in use; known: {names}")
