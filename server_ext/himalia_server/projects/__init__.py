"""Projects: folders with a manifest, members and kernels."""

from .files import code_files
from .manager import Projects
from .manifest import (
    Manifest,
    ManifestFault,
    Parameters,
    StageTable,
    edges,
    order,
    parse_manifest,
    read_manifest,
    seconds,
)
from .routes import router
from .templates import templates

__all__ = [
    "Manifest",
    "ManifestFault",
    "Parameters",
    "Projects",
    "StageTable",
    "code_files",
    "edges",
    "order",
    "parse_manifest",
    "read_manifest",
    "router",
    "seconds",
    "templates",
]
