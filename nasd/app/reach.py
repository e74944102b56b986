"""Where devices find the services: an encrypted address that others reach, or a refusal that says how to get one."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from nasd.app.endpoints import Endpoints
from nasd.config import Settings
from nasd.domain.joining import Addresses
from nasd.errors import Unavailable, UserError


@dataclass(frozen=True, slots=True)
class Reach:
    """The addresses before a device has its login.

    Attributes:
        database, redis: `HOST:PORT`, IPv6 in brackets.
        name: of the database.
        options: of the database's URL.
        artifacts: `https://...`; None: devices have a store of their own settings.
        ca: in PEM; None: the system's.
        notes: what the user should know.
    """

    database: str
    name: str
    options: str
    redis: str
    artifacts: str | None
    ca: str | None
    notes: tuple[str, ...] = ()

    def for_role(self, role: str) -> Addresses:
        """The same for a device's login."""
        user = quote(role, safe="")
        return Addresses(
            database=f"postgresql://{user}@{self.database}/{quote(self.name, safe='')}?{self.options}",
            redis=f"rediss://{user}@{self.redis}/0",
            artifacts=self.artifacts,
            ca=self.ca,
        )


def reach(settings: Settings, found: Endpoints, address: str | None) -> Reach:
    """What devices are told.

    Args:
        settings: of this process.
        found: the services.
        address: how they shall call this machine; None: as it was arranged, or as the given URLs say.

    Raises:
        UserError, Unavailable: no other machine can reach the services, or not encrypted.
    """
    return _of_home(settings, found, address) if found.services is not None else _of_given(settings, address)


def _of_home(settings: Settings, found: Endpoints, address: str | None) -> Reach:
    from nasd.services import DATABASE, authority_of, be_called, listening_of

    arranged = listening_of(found.home)
    if arranged is None:
        raise Unavailable(
            f"the services of {found.home} can be reached from this machine alone. Let devices reach them, encrypted:"
            " nasd services up --listen ADDRESS (0.0.0.0 means all addresses of this machine), then try again"
        )
    host = address or arranged.names[0]
    if host not in arranged.names:
        be_called(found.home, host)
    place = f"[{host}]:{arranged.port}" if ":" in host else f"{host}:{arranged.port}"
    is_ours = urlsplit(settings.artifacts_url or "").scheme in ("", "file")
    return Reach(
        database=place,
        name=DATABASE,
        # the server behind sees a unix socket and binds to no channel
        options="sslmode=verify-full&channel_binding=disable",
        redis=place,
        artifacts=f"https://{place}" if is_ours else _https(settings),
        ca=authority_of(found.home),
        notes=(*_loopback_note(host), *(() if is_ours else _store_note(settings))),
    )


def _of_given(settings: Settings, address: str | None) -> Reach:
    database, redis = urlsplit(settings.database_url or ""), urlsplit(settings.redis_url or "")
    if redis.scheme != "rediss":
        raise Unavailable(
            "NASD_REDIS_URL is not encrypted, so devices can't use it: give the server a certificate and an address"
            " that begins with rediss://"
        )
    given = parse_qs(database.query)
    host = _host("NASD_DATABASE_URL", database.hostname or given.get("host", [""])[0], address)
    redis_host = _host("NASD_REDIS_URL", redis.hostname or "", address)
    ca = _certificates(given.get("sslrootcert", []) + parse_qs(redis.query).get("ssl_ca_certs", []), settings)
    options = {"sslmode": "verify-full", **({} if ca else {"sslrootcert": "system"})}
    reach = Reach(
        database=f"{host}:{database.port or 5432}",
        name=database.path.lstrip("/") or (database.username or ""),
        options=urlencode(options),
        redis=f"{redis_host}:{redis.port or 6379}",
        artifacts=_https(settings),
        ca=ca,
        notes=(*_loopback_note(host), *_store_note(settings)),
    )
    _require_encryption(settings, host, given.get("sslrootcert", ["system"])[0])
    return reach


def _require_encryption(settings: Settings, host: str, ca: str) -> None:
    """Connect as a device will, with the credentials at hand."""
    import psycopg

    url = str(settings.database_url)
    try:
        with psycopg.connect(url, host=host, sslmode="verify-full", sslrootcert=ca, connect_timeout=10):
            return
    except psycopg.Error as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
        raise Unavailable(
            f"NASD_DATABASE_URL: the database can't be reached at {host} with a certificate that devices can check:"
            f" {why}. Give the server one, and name who signed it: ?sslrootcert=FILE"
        ) from error


def _host(variable: str, host: str, address: str | None) -> str:
    """Of a given server; what is this machine's own name for itself is replaced by `address`."""
    if not host or host.startswith("/") or "," in host or _is_loopback(host):
        if address is None:
            raise UserError(
                f"{variable} names a server of this machine alone ({host or 'a socket'}): say how other machines"
                " reach it with --address HOST"
            )
        host = address
    return f"[{host}]" if ":" in host else host


def _certificates(files: list[str], settings: Settings) -> str | None:
    paths = [path for path in dict.fromkeys(files) if path != "system"]
    if settings.artifacts_ca is not None:
        paths.append(str(settings.artifacts_ca))
    try:
        return "\n".join(Path(path).read_text() for path in dict.fromkeys(paths)) or None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the certificate {error.args[-1]} can't be read: check sslrootcert and ssl_ca_certs"
        ) from error


def _https(settings: Settings) -> str | None:
    found = urlsplit(settings.artifacts_url or "")
    return f"https://{found.netloc.rpartition('@')[2]}{found.path}" if found.scheme == "https" else None


def _store_note(settings: Settings) -> tuple[str, ...]:
    if _https(settings):
        return ()
    return ("set NASD_ARTIFACTS_URL on the device to the store of exported networks that this side uses",)


def _loopback_note(host: str) -> tuple[str, ...]:
    return (f"{host} is reached from this machine alone",) if _is_loopback(host) else ()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
