"""Devices with logins of their own, what evaluations need and workers offer, files of trials, values by device kind.

Revision: 0004, after 0003
"""

from pathlib import Path

from alembic import context, op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"
_FILES = ("devices", "fleet", "views", "grants")


def upgrade() -> None:
    """Forward only."""
    prefix = context.config.attributes["role_prefix"]
    for name in _FILES:
        statement = (_SQL / f"0004_{name}.sql").read_text().replace("__PREFIX__", prefix)
        # straight to the driver: no bind parameters, so that a colon or a percent sign means itself
        op.get_bind().connection.cursor().execute(statement)
