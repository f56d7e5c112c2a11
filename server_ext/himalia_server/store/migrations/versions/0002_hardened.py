"""Hardened: idempotency keys, the request of a run, and indexes for many projects and runs"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

INDEXES = (
    ("members", "user"),
    ("tokens", "run_id"),
    ("tokens", "project_id"),
    ("tokens", "expires_at"),
    ("runs", "status"),
    ("kernels", "project_id"),
    ("deployments", "project_id"),
    ("revisions", "deployment_id"),
    ("deployment_keys", "deployment_id"),
)


def upgrade() -> None:
    op.create_table(
        "request_keys",
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key"),
    )
    op.create_index("ix_request_keys_created_at", "request_keys", ["created_at"])
    if op.get_bind().dialect.name == "postgresql":
        for table in ("audit", "events"):
            op.alter_column(table, "seq", type_=sa.BigInteger())
            op.execute(f"ALTER SEQUENCE {table}_seq_seq AS bigint")
    op.add_column("runs", sa.Column("request_id", sa.String(length=64)))
    for table, column in INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column])
    op.drop_index("ix_runs_project_id", "runs")
    op.create_index("ix_runs_project_id_id", "runs", ["project_id", "id"])
