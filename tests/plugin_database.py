"""Fixtures: `database` (a fresh copy of the migrated template) and `scene` (stores over it)."""

import pytest
from database import Database, Scene, copy_of, template

ROLES = ("controller", "worker", "reader")


@pytest.fixture(scope="session")
def database_template(services):
    """Name of the session's migrated database."""
    with template(services.database_url("admin"), services.role_passwords()) as name:
        yield name


@pytest.fixture
def database(services, database_template) -> Database:
    """This test's own database."""
    urls = {role: services.database_url(role) for role in ROLES}
    with copy_of(database_template, services.database_url("admin"), urls) as fresh:
        yield fresh


@pytest.fixture
def scene(database):
    """Stores, leadership and helpers over this test's database."""
    scene = Scene(database)
    yield scene
    for store in (scene.trials, scene.leadership, scene.leases):
        store.close()
