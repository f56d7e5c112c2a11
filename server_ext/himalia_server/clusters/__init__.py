"""Clusters: named Dask clusters, each in a holder process that outlives the service.

The manager and the routes are loaded on first use: a holder imports this package too and needs neither the
store nor FastAPI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .control import (
    ClusterControl,
    ControlError,
    ControlTimeoutError,
    HolderGoneError,
    HolderUnreachableError,
    RequestRefusedError,
)
from .spec import ClusterSpec, SpecError
from .state import ClientFiles, ClusterState, WorkerState

if TYPE_CHECKING:
    from .manager import Clusters
    from .routes import dashboard_router, router

__all__ = [
    "ClientFiles",
    "ClusterControl",
    "ClusterSpec",
    "ClusterState",
    "Clusters",
    "ControlError",
    "ControlTimeoutError",
    "HolderGoneError",
    "HolderUnreachableError",
    "RequestRefusedError",
    "SpecError",
    "WorkerState",
    "dashboard_router",
    "router",
]


def __getattr__(name: str) -> Any:
    if name == "Clusters":
        from .manager import Clusters

        return Clusters
    if name in ("router", "dashboard_router"):
        from . import routes

        return getattr(routes, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
