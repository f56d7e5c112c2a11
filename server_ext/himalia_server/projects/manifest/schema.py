"""The JSON schema of himalia.toml, for editors. The package holds it as a file, which a test keeps up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .tables import Manifest

FILE = Path(__file__).parents[2] / "_schema" / "himalia.schema.json"
LOCAL = ".himalia/himalia.schema.json"
"""Where a project has its copy, so that an editor finds it without a network."""
DIRECTIVE = f"#:schema ./{LOCAL}\n"
"""The first line of new manifests: language servers of TOML know it."""


def manifest_schema() -> dict[str, Any]:
    """JSON schema, draft 2020-12."""
    schema = _without_null(Manifest.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """As the file holds it."""
    return json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"


def _without_null(part: Any) -> Any:
    """TOML has no null: what may be absent is simply not required."""
    if isinstance(part, list):
        return [_without_null(item) for item in part]
    if not isinstance(part, dict):
        return part
    found = {
        key: _without_null(value)
        for key, value in part.items()
        if key != "default" or not (value is None or isinstance(value, dict))
    }
    kinds = found.get("anyOf")
    if isinstance(kinds, list):
        kinds = [kind for kind in kinds if kind != {"type": "null"}]
        if len(kinds) == 1:
            del found["anyOf"]
            found = kinds[0] | found
        else:
            found["anyOf"] = kinds
    return found
