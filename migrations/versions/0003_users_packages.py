"""Users' packages: a study says which ones its functions come from, a worker which ones it may import.

Revision: 0003, after 0002
"""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql" / "0003_users_packages.sql"


def upgrade() -> None:
    """Forward only."""
    # straight to the driver: no bind parameters, so that a colon or a percent sign means itself
    op.get_bind().connection.cursor().execute(_SQL.read_text())
