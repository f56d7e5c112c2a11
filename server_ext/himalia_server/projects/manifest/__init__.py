"""`himalia.toml`: what it may say (`tables`), read and checked (`reading`, `faults`, `checks`), completed and edited.

Stands alone: nothing else of the room is needed to read a project's manifest, or to say what is wrong with it.
"""

from .checks import check_folder, digest_of_text
from .editing import change_key
from .faults import edges, order, output_of, outputs_of
from .files import ProjectPaths, code_by_name, code_files, git_names, without_data
from .manifests import Manifests
from .reading import ManifestCache, ManifestFault, parse_manifest, read_manifest, read_text
from .routes import router
from .schema import DIRECTIVE, LOCAL, schema_text
from .tables import (
    NAME,
    SITE,
    SLUG,
    Duration,
    EnvironmentTable,
    KernelTable,
    Manifest,
    Parameters,
    ProjectTable,
    RelativePath,
    StageName,
    StageTable,
    seconds,
    size,
)

__all__ = [
    "DIRECTIVE",
    "LOCAL",
    "NAME",
    "SITE",
    "SLUG",
    "Duration",
    "EnvironmentTable",
    "KernelTable",
    "Manifest",
    "ManifestCache",
    "ManifestFault",
    "Manifests",
    "Parameters",
    "ProjectPaths",
    "ProjectTable",
    "RelativePath",
    "StageName",
    "StageTable",
    "change_key",
    "check_folder",
    "code_by_name",
    "code_files",
    "digest_of_text",
    "edges",
    "git_names",
    "order",
    "output_of",
    "outputs_of",
    "parse_manifest",
    "read_manifest",
    "read_text",
    "router",
    "schema_text",
    "seconds",
    "size",
    "without_data",
]
