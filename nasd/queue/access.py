"""Users of Redis for added devices: each sees the doorbells of its own kind and what rq writes beside them, no more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager

import redis

from nasd.domain.ids import ANYWHERE, DeviceKind
from nasd.errors import Unavailable
from nasd.queue.doorbell import PREFIX, connect

# What rq's worker and our doorbell send, seen with MONITOR; nothing that lists keys, scripts, publishes or administers.
_COMMANDS = (
    *("hello", "auth", "ping", "client|setinfo", "client|setname", "client|info", "multi", "exec", "discard"),
    *("exists", "expire", "del", "hset", "hget", "hgetall", "hexists", "sadd", "srem"),
    *("llen", "rpush", "lpop", "blpop"),
)


def line(user: str, password: str, kind: DeviceKind) -> str:
    """The user's line of an access list. It holds a hash of the password.

    Messages and rq's records of workers are not told apart by kind: nothing in them is believed.
    """
    digest = hashlib.sha256(password.encode()).hexdigest()
    return f"user {user} on #{digest} {' '.join(_rules(kind))}"


def add(url: str, user: str, password: str, kind: DeviceKind, *, save: bool) -> bool:
    """Make the user, or give it another password and kind.

    Args:
        url: of a user that may administer.
        user: the device's role.
        password: its password.
        kind: whose doorbells it hears.
        save: let the server write it down for its next start.

    Returns:
        Whether the server will know it after a restart; True where that is not asked of it.

    Raises:
        Unavailable: the server can't be reached or does not let us; says what is missing.
    """
    digest = hashlib.sha256(password.encode()).hexdigest()
    with _admin(url) as server:
        _say(server, "ACL", "SETUSER", user, "reset", "on", f"#{digest}", *_rules(kind))
        return not save or _saved(server)


def remove(url: str, user: str, *, save: bool) -> bool:
    """Remove it, which ends its connections; False where there was none.

    Raises:
        Unavailable: as `add`.
    """
    with _admin(url) as server:
        n_gone = int(str(_say(server, "ACL", "DELUSER", user)))
        if save:
            _saved(server)
    return n_gone > 0


def _rules(kind: DeviceKind) -> list[str]:
    queues = [f"{PREFIX}{one}" for one in (kind, ANYWHERE)]
    keys = ["rq:queues", "rq:workers", f"rq:worker:{PREFIX.rstrip(':')}.*", "rq:job:*"]
    keys += [f"rq:queue:{queue}" for queue in queues] + [f"rq:workers:{queue}" for queue in queues]
    return [*(f"~{key}" for key in keys), *(f"+{command}" for command in _COMMANDS)]


@contextmanager
def _admin(url: str) -> Iterator[redis.Redis]:
    """A connection that may administer users; the driver's errors become ours."""
    try:
        with closing(connect(url, timeout_s=5.0)) as server:
            yield server
    except redis.exceptions.NoPermissionError as error:
        raise Unavailable(
            "NASD_REDIS_URL: its user may not make users for devices. Give one that may: ACL SETUSER NAME +acl"
        ) from error
    except redis.ResponseError as error:
        raise Unavailable(f"NASD_REDIS_URL: the server can't make users for devices: {error}") from error
    except redis.RedisError as error:
        raise Unavailable(f"NASD_REDIS_URL: the server can't be reached: {error}") from error


def _saved(server: redis.Redis) -> bool:
    """Write the users where the server keeps them: in its file of users, or else in its settings."""
    for command in (("ACL", "SAVE"), ("CONFIG", "REWRITE")):
        try:
            _say(server, *command)
        except redis.ResponseError:
            continue
        return True
    return False


def _say(server: redis.Redis, *words: str) -> object:
    return server.execute_command(*words)  # type: ignore[no-untyped-call]
