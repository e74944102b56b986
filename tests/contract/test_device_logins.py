"""Logins of devices where nasd's schema belongs to no superuser, as on a managed Postgres: the owner may make roles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from database import at_database

from nasd.errors import Unavailable
from nasd.services import Services
from nasd.store import migrate
from nasd.store.devices import PgDevices

PREFIX, OWNER, DATABASE = "managed", "managed_owner", "nasd_test_managed"


@dataclass(frozen=True)
class Managed:
    admin: str
    devices: PgDevices
    socket: str

    def as_role(self, role: str, password: str = "secret") -> str:
        return f"postgresql://{quote(role)}:{password}@/{DATABASE}?host={quote(self.socket)}"

    def run(self, statement: str) -> None:
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="module")
def managed(services: Services) -> Iterator[Managed]:
    """A database of an owner who may make roles and is no superuser."""
    admin = services.database_url("admin")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"create role {OWNER} login createrole password 'secret'")
        connection.execute(f"create database {DATABASE} owner {OWNER}")
    found = Managed(at_database(admin, DATABASE), PgDevices(""), str(services.run_dir))
    migrate.upgrade(found.as_role(OWNER), role_prefix=PREFIX)
    found.run(f"alter role {PREFIX}_controller login password 'secret'")
    assert urlsplit(found.as_role(OWNER)).path == f"/{DATABASE}"
    yield Managed(found.admin, PgDevices(found.as_role(f"{PREFIX}_controller")), found.socket)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"drop database {DATABASE} with (force)")


def add(managed: Managed, name: str) -> str:
    role, _ = managed.devices.add(name, "pi5", secret="secret", redis_password="r", valid_s=60.0)
    return role


def test_a_device_joins_and_is_revoked_without_a_superuser(managed: Managed):
    """Making a role, giving it another password, ending its sessions: each needs a right of its own."""
    role = add(managed, "board")
    with psycopg.connect(managed.as_role(role), autocommit=True) as session:
        verifier = session.pgconn.encrypt_password(b"lasting", b"", b"scram-sha-256").decode()
        told = session.execute("select nasd_api.join_v1(%s, %s)", [verifier, "a" * 64]).fetchone()
        assert told == ({"name": "board", "device_kind": "pi5", "redis_password": "r"},)
        session.execute("select nasd_api.joined_v1()")
        assert managed.devices.artifact_digests() == {"a" * 64}
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            psycopg.connect(managed.as_role(role))

        assert managed.devices.revoke("board") == role

        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(managed.as_role(role, "lasting"))
    assert managed.devices.artifact_digests() == set()


def test_a_login_of_another_database_is_nothing_here(managed: Managed, services: Services, database):
    """Roles belong to a whole cluster: a device of one search must not work in another's database."""
    here = PgDevices(database.controller)
    role, _ = here.add("foreign", "pi5", secret="secret", redis_password="r", valid_s=60.0)
    url = f"postgresql://{quote(role)}:secret@/nasd?host={quote(managed.socket)}"
    with psycopg.connect(at_database(url, urlsplit(database.admin).path[1:]), autocommit=True) as own:
        verifier = own.pgconn.encrypt_password(b"secret", b"", b"scram-sha-256").decode()
        own.execute("select nasd_api.join_v1(%s, %s)", [verifier, "b" * 64])
    with psycopg.connect(services.database_url("admin"), autocommit=True) as connection:
        connection.execute("drop database if exists nasd_test_elsewhere with (force)")
        connection.execute("create database nasd_test_elsewhere template nasd_test_template")
    elsewhere = at_database(url, "nasd_test_elsewhere")

    with psycopg.connect(elsewhere, autocommit=True) as connection:
        for call in ('register_v1(\'{"protocol": 3, "device_kind": "pi5"}\')', f"join_v1('{verifier}', '{'b' * 64}')"):
            with pytest.raises(psycopg.DatabaseError, match="was revoked"):
                connection.execute(f"select nasd_api.{call}")

    with psycopg.connect(services.database_url("admin"), autocommit=True) as connection:
        connection.execute("drop database nasd_test_elsewhere with (force)")


def test_an_owner_who_may_make_no_roles_is_told_what_to_ask_for(managed: Managed):
    managed.run(f"alter role {OWNER} nocreaterole")

    with pytest.raises(Unavailable, match="alter role OWNER createrole"):
        add(managed, "another")

    managed.run(f"alter role {OWNER} createrole")
    assert add(managed, "another").startswith(f"{PREFIX}_device_another_")


def test_a_password_never_reaches_the_server_as_it_is(managed: Managed):
    with (
        psycopg.connect(managed.as_role(f"{PREFIX}_controller")) as connection,
        pytest.raises(psycopg.DatabaseError, match="SCRAM-SHA-256 verifier"),
    ):
        connection.execute("select nasd_core.add_login('plain', 'pi5', 'password', 'r', 60)")
