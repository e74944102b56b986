"""What an added device is told: the token that it joins with, and the credentials that it keeps. Values and their text.

Addresses are URLs without passwords; who connects puts theirs in. A token's secret is good for one joining.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from nasd.errors import UserError

NAME = re.compile(r"[a-z][a-z0-9-]{0,23}", re.ASCII)  # of a device
KIND = re.compile(r"[a-z][a-z0-9-]{0,30}", re.ASCII)
_PREFIX = "nasd1-"  # the 1: of this form
_N_CHECK = 6  # bytes of the content's hash: a token that was cut or mistyped is told from one that is refused
_MOST_BYTES = 32 * 1024
_SCHEMES: Mapping[str, tuple[str, ...]] = {
    "database": ("postgresql",),
    "redis": ("rediss",),
    "artifacts": ("https",),
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the services are, as seen from a device; all are encrypted.

    Attributes:
        database: `postgresql://ROLE@HOST:PORT/NAME?sslmode=verify-full...`
        redis: `rediss://USER@HOST:PORT/0`
        artifacts: `https://HOST:PORT`; None: devices have a store of their own settings.
        ca: the certificate in PEM that signed the servers'; None: one of the system's did.
    """

    database: str
    redis: str
    artifacts: str | None = None
    ca: str | None = None

    def __post_init__(self) -> None:
        for name, schemes in _SCHEMES.items():
            url = getattr(self, name)
            if url is None and name == "artifacts":
                continue
            found = urlsplit(str(url))
            if found.scheme not in schemes or not found.hostname or found.password or (found.port or 1) < 1:
                raise ValueError(f"{name}: must be {schemes[0]}://... without a password")


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What the one command for a device carries.

    Attributes:
        secret: the first password of the device's role; the database replaces it at joining.
        expires_at: seconds since the epoch. The database judges it by its own clock; a board's may be wrong.
    """

    name: str
    kind: str
    secret: str = field(repr=False)
    expires_at: int
    addresses: Addresses

    def __post_init__(self) -> None:
        if not (NAME.fullmatch(self.name) and KIND.fullmatch(self.kind) and self.secret):
            raise ValueError("a device has a name, a kind and a secret")

    def encode(self) -> str:
        """One word without characters that a shell would touch."""
        packed = zlib.compress(json.dumps(asdict(self), separators=(",", ":"), sort_keys=True).encode(), 9)
        check = hashlib.sha256(packed).digest()[:_N_CHECK]
        return _PREFIX + base64.urlsafe_b64encode(check + packed).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> JoinToken:
        """The inverse; blanks around it do no harm.

        Raises:
            UserError: it is no token, or not all of one.
        """
        word = "".join(text.split())  # terminals wrap long words
        if not word.startswith(_PREFIX):
            raise UserError(
                f"this is no token: one begins with {_PREFIX}. Copy all of what `nasd device add` printed after `join`"
            )
        try:
            coded = word.removeprefix(_PREFIX)
            body = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _incomplete() from error
        check, packed = body[:_N_CHECK], body[_N_CHECK:]
        if hashlib.sha256(packed).digest()[:_N_CHECK] != check:
            raise _incomplete()
        try:
            return cls._of(_unpacked(packed))
        except (zlib.error, ValueError, TypeError, KeyError, RecursionError) as error:
            raise UserError(
                f"this token can't be read here ({error}): install the nasd on this device that the controller has"
            ) from error

    @classmethod
    def _of(cls, value: Mapping[str, object]) -> JoinToken:
        given = {**value, "addresses": _addresses(value["addresses"])}
        expires_at = given.pop("expires_at")
        if not isinstance(expires_at, int):
            raise TypeError("expires_at is no number")
        addresses = given.pop("addresses")
        assert isinstance(addresses, Addresses)
        return cls(**_of_text(given), expires_at=expires_at, addresses=addresses)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a joined device keeps in a file of its own.

    Attributes:
        redis_password: None: it has not joined yet; the database may know its password already.
    """

    name: str
    kind: str
    addresses: Addresses
    database_password: str = field(repr=False)
    redis_password: str | None = field(repr=False)
    artifacts_token: str = field(repr=False)

    @property
    def role(self) -> str:
        """The device's login in the database; new with every adding."""
        return urlsplit(self.addresses.database).username or ""

    def database_url(self, ca: Path | None) -> str:
        """With the password and the file of the certificate; `ca`: None where the system's are meant."""
        return _complete(self.addresses.database, self.database_password, {"sslrootcert": ca})

    def redis_url(self, ca: Path | None) -> str | None:
        if self.redis_password is None:
            return None
        return _complete(self.addresses.redis, self.redis_password, {"ssl_ca_certs": ca})

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Credentials:
        """Read what `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        value = json.loads(text)
        if not isinstance(value, dict) or {one.name for one in fields(cls)} != set(value):
            raise ValueError("these are no credentials")
        addresses = _addresses(value.pop("addresses"))
        return cls(addresses=addresses, **_of_text(value))  # type: ignore[arg-type]


def with_password(url: str, password: str) -> str:
    """`url` with a password for its user."""
    return _complete(url, password, {})


def _complete(url: str, password: str, more: Mapping[str, Path | None]) -> str:
    found = urlsplit(url)
    user, _, place = found.netloc.rpartition("@")
    query = urlencode({name: str(value) for name, value in more.items() if value is not None}, quote_via=quote)
    return urlunsplit(
        found._replace(
            netloc=f"{user}:{quote(password, safe='')}@{place}", query="&".join(filter(None, (found.query, query)))
        )
    )


def _addresses(value: object) -> Addresses:
    return Addresses(**_of_text(value))  # type: ignore[arg-type]  # its own check refuses what is missing


def _of_text(value: object) -> dict[str, str | None]:
    """A JSON object of texts."""
    if not isinstance(value, dict) or not all(one is None or isinstance(one, str) for one in value.values()):
        raise TypeError("not what a token holds")
    return value


def _unpacked(packed: bytes) -> Mapping[str, object]:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(packed, _MOST_BYTES)
    if not unpacker.eof:
        raise ValueError("too long")
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def _incomplete() -> UserError:
    return UserError(
        "this token is not complete: some of its characters are missing or changed. Copy all of it once more"
    )
