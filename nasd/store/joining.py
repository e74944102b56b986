"""A device's side of joining: presents the token's secret to the database and gets what it keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from nasd.domain.joining import Credentials
from nasd.errors import Unavailable, UserError
from nasd.store.connect import Connection

_TIMEOUT_S = 15
_WRONG_PASSWORD = "password authentication failed"  # noqa: S105 - what libpq hands on of sqlstate 28P01


def join(draft: Credentials, secret: str, *, ca: Path | None, keep: Callable[[Credentials], None]) -> Credentials:
    """Exchange the token's secret for lasting credentials.

    Args:
        draft: with the passwords that the device chose, kept already: should the power go in between, the database may
            know them by the next time.
        secret: the token's.
        ca: file with the certificate that signed the servers'; None: the system's.
        keep: writes the result down; only then the database forgets Redis's password.

    Raises:
        UserError: the token was used, was withdrawn or has expired.
        Unavailable: the database can't be reached from here, or is not the one that the token means.
    """
    with _connected(draft, secret, ca) as connection:
        chosen, role = draft.database_password.encode(), draft.role.encode()
        verifier = connection.pgconn.encrypt_password(chosen, role, b"scram-sha-256").decode()
        digest = hashlib.sha256(draft.artifacts_token.encode()).hexdigest()
        try:
            row = connection.execute("select nasd_api.join_v1(%s, %s)", [verifier, digest]).fetchone()
        except psycopg.OperationalError as error:
            raise _unreachable(draft, error) from error
        except psycopg.Error as error:
            raise _refused(draft, error.diag.message_primary or str(error)) from error
        assert row is not None
        told: dict[str, str] = row[0]
        joined = replace(draft, kind=told["device_kind"], redis_password=told["redis_password"])
        keep(joined)
        connection.execute("select nasd_api.joined_v1()")
    return joined


def _connected(draft: Credentials, secret: str, ca: Path | None) -> Connection:
    """By the token's secret, or by the chosen password where an earlier attempt got that far."""
    for password in (secret, draft.database_password):
        url = replace(draft, database_password=password).database_url(ca)
        try:
            return psycopg.connect(url, autocommit=True, connect_timeout=_TIMEOUT_S, application_name="nasd join")
        except psycopg.OperationalError as error:
            if _WRONG_PASSWORD not in str(error):
                raise _unreachable(draft, error) from error
    raise _refused(draft, "it was used before, was replaced or has expired")


def _refused(draft: Credentials, why: str) -> UserError:
    return UserError(
        f"the database refuses the token of device {draft.name}: {why}."
        f" Make another: nasd device add {draft.name} --kind {draft.kind}"
    )


def _unreachable(draft: Credentials, error: psycopg.Error) -> Unavailable:
    found = urlsplit(draft.addresses.database)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return Unavailable(
        f"the database at {found.hostname}, port {found.port or 5432}, can't be used from this device: {lines[-1]}."
        " Check that this device reaches that address, and that `nasd services up --listen` still serves it"
    )
