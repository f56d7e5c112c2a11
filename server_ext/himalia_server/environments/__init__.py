"""Environments: what the code of a project runs in, built with uv from what its manifest names."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .housekeeping import collect, tidy
    from .manager import Environments
    from .routes import router
    from .source import source_files

__all__ = ["Environments", "collect", "router", "source_files", "tidy"]
_PARTS = {
    "Environments": ".manager",
    "collect": ".housekeeping",
    "router": ".routes",
    "source_files": ".source",
    "tidy": ".housekeeping",
}


def __getattr__(name: str) -> Any:
    # the process of a build imports this package too: without the service's parts it starts in 0.1 s instead of 1 s
    if name not in _PARTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PARTS[name], __name__), name)
