"""Environments: a project has further ones by name"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("builds", sa.Column("name", sa.String(length=63)))
