"""Pipelines: notebooks as stages, executed by papermill in snapshots, skipped when nothing has changed.

From the ground up: `keys` (what decides what a stage makes), `graph`, `results` (what is known), `planning` (skip or
run, and why), `leases` (how many at a time), `driving` (runs that go on). `manager.Pipelines` holds them together.
"""

from .manager import Pipelines
from .models import GOOD, TERMINAL, RunView
from .pipeline_routes import router as pipeline_router
from .pipeline_routes import site_router
from .remote import takes_files
from .remote_routes import router as remote_router
from .requests import NOTEBOOK_STAGE, Options, Pinned, RunRequest, pinned_manifest
from .routes import router

__all__ = [
    "GOOD",
    "NOTEBOOK_STAGE",
    "TERMINAL",
    "Options",
    "Pinned",
    "Pipelines",
    "RunRequest",
    "RunView",
    "pinned_manifest",
    "pipeline_router",
    "remote_router",
    "router",
    "site_router",
    "takes_files",
]
