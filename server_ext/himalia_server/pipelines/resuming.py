"""What a run that did not succeed is resumed with: the parameters that it had, on the code as it is now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..projects import Manifest, read_manifest
from ..service.problems import Conflict
from ..store import Run
from .graph import Graph
from .models import TERMINAL
from .requests import NOTEBOOK_STAGE, Pinned, RunRequest, pinned_manifest
from .views import options_of


def request_to_resume(
    run: Run, params: Mapping[str, dict[str, Any]], folder: Path, pinned: Pinned | None
) -> RunRequest:
    """Another run of what *run* has run.

    *params*: of its stages; *folder*: the project's. *pinned*: the code that its schedule is pinned to now; None: it
    has none, and the folder's code is run.

    Raises:
        Conflict: it goes on still, has succeeded, or is a verification. ManifestFault: the manifest has a fault.
    """
    if run.status not in TERMINAL:
        raise Conflict(f"The run {run.id} goes on still.", hint="Cancel it first, or wait for its end.")
    if run.status == "succeeded":
        raise Conflict(
            f"The run {run.id} has succeeded: nothing is left to do.",
            hint="Start a new run: what is unchanged is skipped.",
        )
    if run.kind == "verification":
        raise Conflict("A verification is not resumed.", hint="Verify the notebook again.")
    common: dict[str, Any] = {
        "options": options_of(run),
        "trigger": "person",
        "pinned": pinned,
        "origin_id": run.id,
        "schedule_id": run.schedule_id,
        "apart": not run.options.get("publish", True),
    }
    if run.kind == "notebook":
        table = run.manifest["stages"][NOTEBOOK_STAGE]
        inputs = tuple(table["inputs"])
        return RunRequest(dict(params), kind="notebook", notebook=table["notebook"], inputs=inputs, **common)
    manifest = pinned_manifest(pinned) if pinned else read_manifest(folder)
    names = Graph.of(manifest).selected(common["options"])
    given = {name: params[name] for name in names if params.get(name)}
    return RunRequest(given, warnings=tuple(kept_parameters(manifest, given, run.params)), **common)


def kept_parameters(
    manifest: Manifest, params: Mapping[str, Mapping[str, Any]], asked: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Where a resumed run keeps other values (*params*, per stage) than the manifest has now, nobody having *asked*."""
    return [
        f"Stage {stage!r} keeps {name} = {json.dumps(value)} of the run that it resumes; himalia.toml says "
        f"{json.dumps(now)} by now. Start a new run to use that."
        for stage, values in params.items()
        for name, value in values.items()
        if name not in asked.get(stage, {})
        and (now := manifest.stages[stage].params.get(name, value)) != value
        and not (manifest.stages[stage].sweep and isinstance(now, list))
    ]
