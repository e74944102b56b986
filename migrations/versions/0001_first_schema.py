"""The first schema: tables, life cycle functions, the workers' interface, public views, roles.

Revision: 0001, after none
"""

from pathlib import Path

from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"
_FILES = ("tables", "storage", "functions", "worker_api", "views", "roles", "grants")


def upgrade() -> None:
    """Make everything; forward only."""
    prefix = context.config.attributes["role_prefix"]
    for name in _FILES:
        statement = (_SQL / f"0001_{name}.sql").read_text().replace("__PREFIX__", prefix)
        # straight to the driver: no bind parameters, so that a colon or a percent sign means itself
        op.get_bind().connection.cursor().execute(statement)
