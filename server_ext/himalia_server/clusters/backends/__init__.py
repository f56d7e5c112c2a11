"""Engines that run a cluster's scheduler and workers."""

from __future__ import annotations

from collections.abc import Callable

from ..certificates import ClusterCertificates
from ..spec import ClusterSpec, SpecError
from .base import Backend, BackendView
from .local import LocalBackend

__all__ = ["Backend", "BackendView", "create_backend"]


def create_backend(spec: ClusterSpec, certificates: ClusterCertificates, changed: Callable[[], None]) -> Backend:
    """Return the backend that the profile of *spec* names; raises SpecError for an unknown one."""
    if spec.backend == "local":
        return LocalBackend(spec, certificates, changed)
    raise SpecError("profile", f"unknown backend {spec.backend!r}; known is 'local'")
