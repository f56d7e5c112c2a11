"""The store: tables, sessions and migrations. Synchronous; never called on an event loop."""

from .database import Database, SchemaTooNew, StoreRefused
from .schema import (
    AuditRow,
    Base,
    Cluster,
    Deployment,
    DeploymentKey,
    EventRow,
    Kernel,
    Member,
    Project,
    Revision,
    Run,
    StageRun,
    Token,
    User,
    new_id,
    now,
)

__all__ = [
    "AuditRow",
    "Base",
    "Cluster",
    "Database",
    "Deployment",
    "DeploymentKey",
    "EventRow",
    "Kernel",
    "Member",
    "Project",
    "Revision",
    "Run",
    "SchemaTooNew",
    "StageRun",
    "StoreRefused",
    "Token",
    "User",
    "new_id",
    "now",
]
