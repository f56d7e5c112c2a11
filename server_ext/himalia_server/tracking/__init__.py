"""Tracking: MLflow on a unix socket, behind a proxy that forwards only what a project's role allows."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import MlflowClient
    from .entities import SCRATCH
    from .errors import DatabaseError, MlflowError, MlflowUnavailable
    from .manager import Tracking, TrackingUnavailable
    from .proxy import MlflowProxy
    from .routes import mlflow_router, router
    from .server import mlflow_command, mlflow_environment, prepare_database, wait_ready

_HOMES = {
    "DatabaseError": "errors",
    "MlflowClient": "client",
    "MlflowError": "errors",
    "MlflowProxy": "proxy",
    "MlflowUnavailable": "errors",
    "SCRATCH": "entities",
    "Tracking": "manager",
    "TrackingUnavailable": "manager",
    "mlflow_command": "server",
    "mlflow_environment": "server",
    "mlflow_router": "routes",
    "prepare_database": "server",
    "router": "routes",
    "wait_ready": "server",
}

__all__ = [
    "SCRATCH",
    "DatabaseError",
    "MlflowClient",
    "MlflowError",
    "MlflowProxy",
    "MlflowUnavailable",
    "Tracking",
    "TrackingUnavailable",
    "mlflow_command",
    "mlflow_environment",
    "mlflow_router",
    "prepare_database",
    "router",
    "wait_ready",
]


def __getattr__(name: str) -> Any:
    # on demand, because MLflow's own process imports this package too, and needs neither routes nor store
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(name)
