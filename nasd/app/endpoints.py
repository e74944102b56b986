"""Where the database and the queue are: the two URLs of the settings, or the embedded pair of a home."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Literal, Self

from nasd.config import Settings
from nasd.errors import SettingsError, Unavailable, UserError
from nasd.services import Services, attach, default_home

log = logging.getLogger(__name__)

Role = Literal["admin", "controller", "worker", "reader"]
_SCHEMES = {
    "NASD_DATABASE_URL": ("postgresql://", "postgres://"),
    "NASD_REDIS_URL": ("redis://", "rediss://", "unix://"),
}
_LOOK_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Endpoints:
    """URLs by role, and the use of the embedded pair where there is one. URLs hold passwords: never print them."""

    database: Mapping[str, str] = field(repr=False)
    redis: Mapping[str, str] = field(repr=False)
    home: Path
    services: Services | None = None

    def environment(self, role: Literal["controller", "worker"]) -> dict[str, str]:
        """What a child process of that role needs in its environment."""
        return {
            "NASD_DATABASE_URL": self.database[role],
            "NASD_REDIS_URL": self.redis[role],
            "NASD_HOME": str(self.home),
        }

    def close(self) -> None:
        """Let go of the embedded pair; it leaves with its last client."""
        if self.services is not None:
            self.services.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_external(settings: Settings) -> bool:
    """Whether the two URLs select given services.

    Raises:
        SettingsError: only one of them is set, or one has a scheme that nothing here speaks.
    """
    urls = {"NASD_DATABASE_URL": settings.database_url, "NASD_REDIS_URL": settings.redis_url}
    missing = [name for name, url in urls.items() if not url]
    if len(missing) == len(urls):
        return False
    if missing:
        raise SettingsError(
            f"{missing[0]} is not set, but the other URL is: set both, or neither for the embedded pair"
        )
    for name, url in urls.items():
        if not str(url).startswith(_SCHEMES[name]):
            schemes = " or ".join(_SCHEMES[name])
            raise SettingsError(
                f"{name} must begin with {schemes}, got one that begins with {str(url).split(':')[0]!r}"
            )
    return True


def resolve(settings: Settings, home: Path) -> Endpoints:
    """The endpoints to use; starts the embedded pair where no URLs are set.

    Raises:
        SettingsError, Unavailable: see `is_external` and `nasd.services.attach`.
    """
    if is_external(settings):
        roles = ("admin", "controller", "worker", "reader")
        return Endpoints(
            database=dict.fromkeys(roles, settings.database_url or ""),
            redis=dict.fromkeys(("controller", "worker"), settings.redis_url or ""),
            home=home,
        )
    services = attach(home, role_prefix=settings.role_prefix)
    return Endpoints(
        database={role: services.database_url(role) for role in ("admin", "controller", "worker", "reader")},
        redis={role: services.redis_url(role) for role in ("controller", "worker")},
        home=home,
        services=services,
    )


def home_beside(settings: Settings, study_file: Path) -> Path:
    """The home of a study file: NASD_HOME, or the one beside it."""
    return settings.home or default_home(study_file.resolve().parent)


def find_home(settings: Settings, start: Path) -> Path:
    """The home that a command without a study file means: NASD_HOME, or the nearest that exists.

    Looks in `start`, in the folders above it, and then one level below it.

    Raises:
        UserError: there is none, or several folders below have one.
    """
    if settings.home is not None:
        return settings.home
    for folder in (start, *start.parents):
        home = default_home(folder)
        if (home / "postgres").exists() or (home / "secrets").exists():
            return home
    below = [default_home(folder) for folder in sorted(start.iterdir()) if folder.is_dir()] if start.is_dir() else []
    homes = [home for home in below if (home / "secrets").exists()]
    if len(homes) == 1:
        return homes[0]
    if homes:
        names = ", ".join(str(home) for home in homes)
        raise UserError(f"several homes below {start}: {names}. Choose one: NASD_HOME={homes[0]}")
    raise UserError(
        f"no study has been run in {start}: start one with `nasd run STUDY.toml`, or set NASD_HOME or the two URLs"
    )


def prepare(endpoints: Endpoints, settings: Settings, *, patience: Event | None = None) -> None:
    """Bring the embedded database to this version; check that a given one is.

    Args:
        endpoints: where it is.
        settings: of this process.
        patience: a database that can't be reached is waited for until this is set; None: it is an error.

    Raises:
        Unavailable: not reachable, older (given ones are upgraded by hand) or newer than this program.
    """
    import psycopg

    while True:
        try:
            return _prepare(endpoints, settings)
        except psycopg.OperationalError as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if patience is None:
                raise Unavailable(
                    f"NASD_DATABASE_URL: the database can't be reached: {reason}. Check the address, and that it runs"
                ) from error
            log.warning("database unreachable; waiting", extra={"fields": {"error": reason}})
            if patience.wait(_LOOK_AGAIN_S):
                return None


def _prepare(endpoints: Endpoints, settings: Settings) -> None:
    import psycopg

    from nasd.store import migrate

    if endpoints.services is not None:
        with psycopg.connect(endpoints.database["admin"]) as connection:
            at = migrate.current(connection)
        if at != migrate.known()[-1]:
            migrate.upgrade(endpoints.database["admin"], role_prefix=settings.role_prefix)
        migrate.set_passwords(endpoints.database["admin"], endpoints.services.role_passwords())
        return
    with psycopg.connect(endpoints.database["controller"], connect_timeout=10) as connection:
        migrate.check(connection)
