"""One order of locks: all leases, all evaluations, all trials, each in order of id, for whatever is reported or ended.

Revision: 0002, after 0001
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Forward only."""
    for name in ("functions", "leases", "worker_api"):
        # straight to the driver: no bind parameters, so that a colon or a percent sign means itself
        op.get_bind().connection.cursor().execute((_SQL / f"0002_{name}.sql").read_text())
