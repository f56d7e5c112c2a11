"""Projects: folders with a manifest, members and kernels.

From the ground up: `manifest` (himalia.toml), `folders` (where a project lies), `making` and `templates` (how it comes
to be), `kernels` (what runs in it is given), `life` (how it rests and ends). `manager.Projects` holds them together.
"""

from .kernels import COMPONENTS, SHARED, EnvironmentGrant, KernelStartView, Used
from .life_routes import UPLOAD_PATH
from .manager import Projects
from .manifest import (
    NAME,
    SITE,
    Duration,
    EnvironmentTable,
    Manifest,
    ManifestFault,
    Parameters,
    ProjectPaths,
    RelativePath,
    StageName,
    StageTable,
    change_key,
    check_folder,
    code_by_name,
    code_files,
    edges,
    git_names,
    order,
    output_of,
    outputs_of,
    parse_manifest,
    read_manifest,
    schema_text,
    seconds,
    without_data,
)
from .routes import router

__all__ = [
    "COMPONENTS",
    "NAME",
    "SHARED",
    "SITE",
    "UPLOAD_PATH",
    "Duration",
    "EnvironmentGrant",
    "EnvironmentTable",
    "KernelStartView",
    "Manifest",
    "ManifestFault",
    "Parameters",
    "ProjectPaths",
    "Projects",
    "RelativePath",
    "StageName",
    "StageTable",
    "Used",
    "change_key",
    "check_folder",
    "code_by_name",
    "code_files",
    "edges",
    "git_names",
    "order",
    "output_of",
    "outputs_of",
    "parse_manifest",
    "read_manifest",
    "router",
    "schema_text",
    "seconds",
    "without_data",
]
