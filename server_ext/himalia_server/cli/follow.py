"""Follow a run by its events to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .api import Api

ENDED = {"succeeded", "failed", "cancelled"}


def follow_run(api: Api, run: dict[str, Any], after: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Tell each change until the run has ended; survives a restart of the service. Returns the run as it ended."""
    path = f"/projects/{run['project']}/runs/{run['id']}"
    current: dict[str, Any] = run
    if current["status"] in ENDED:
        return current
    for event in api.events(after):
        if event["topic"] == "reconnected":
            tell("the service was restarted; the run goes on")
        elif event["subject"] != run["id"]:
            continue
        else:
            text = _sentence(event)
            if text:
                tell(text)
        if event["topic"] in ("run.ended", "reconnected"):
            current = api.get(path)
            if current["status"] in ENDED:
                return current
    return current


def _sentence(event: dict[str, Any]) -> str | None:
    data = event["data"]
    stage = data.get("stage")
    match event["topic"]:
        case "stage.waiting":
            return f"{stage}: {data['reason']}"
        case "stage.started":
            return f"{stage}: starting its kernel"
        case "stage.progress":
            label = f" ({data['label']})" if data.get("label") else ""
            return f"{stage}: cell {data['cell']} of {data['cells']}{label}"
        case "stage.ended":
            why = f": {data['error']}" if data.get("error") else ""
            return f"{stage}: {data['status']}{why}"
    return None
