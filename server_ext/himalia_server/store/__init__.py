"""The store: tables, sessions and migrations. Synchronous; never called on an event loop."""

from .database import Database, SchemaTooNew
from .engines import NETWORK_FILE_SYSTEMS, StoreRefused, file_system_type
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
    RequestKey,
    Revision,
    Run,
    StageRun,
    Token,
    User,
    new_id,
    now,
)

__all__ = [
    "NETWORK_FILE_SYSTEMS",
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
    "RequestKey",
    "Revision",
    "Run",
    "SchemaTooNew",
    "StageRun",
    "StoreRefused",
    "Token",
    "User",
    "file_system_type",
    "new_id",
    "now",
]
