"""Follow a run by its events to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .api import Api

ENDED = {"succeeded", "failed", "cancelled", "timed_out"}
SHOWN = 4
"""Stages that are told at a time; a wide pipeline has hundreds."""


def follow_run(api: Api, run: dict[str, Any], after: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Tell each change until the run has ended; survives a restart of the service. Returns the run as it ended."""
    path = f"/projects/{run['project']}/runs/{run['id']}"
    current: dict[str, Any] = run
    if current["status"] in ENDED:
        return current
    board = Board(current)
    for event in api.events(after):
        if event["topic"] == "reconnected":
            tell("the service was restarted; the run goes on")
        elif event["subject"] != run["id"]:
            continue
        else:
            text = board.note(event)
            if text:
                tell(text)
        if event["topic"] in ("run.ended", "reconnected"):
            current = api.get(path)
            if current["status"] in ENDED:
                return current
    return current


class Board:
    """Where the stages of a run are, from its events."""

    def __init__(self, run: dict[str, Any]) -> None:
        self.total = len(run["stages"])
        self.ended: dict[str, str] = {}
        self.now: dict[str, str] = {}
        """Stage → what it does."""

    def note(self, event: dict[str, Any]) -> str | None:
        """What to tell after this event."""
        data = event["data"]
        match event["topic"]:
            case "stages.ended":
                self.ended |= {stage["stage"]: stage["status"] for stage in data["stages"]}
                return self._line() if len(data["stages"]) > 1 or data["more"] else self._ended(data["stages"][0])
            case "stage.ended":
                return self._ended(data)
            case "stage.waiting":
                self.now[data["stage"]] = data["reason"]
            case "stage.started":
                self.now[data["stage"]] = "starting its kernel"
            case "stage.progress":
                label = f" ({data['label']})" if data.get("label") else ""
                self.now[data["stage"]] = f"cell {data['cell']} of {data['cells']}{label}"
            case "stage.attempt":
                return f"{data['stage']}: attempt {data['attempt']} {data['status']}: {data['error'] or ''}".rstrip(
                    ": "
                )
            case _:
                return None
        return self._line()

    def _ended(self, data: dict[str, Any]) -> str:
        self.ended[data["stage"]] = data["status"]
        self.now.pop(data["stage"], None)
        why = f": {data['error']}" if data.get("error") else ""
        return f"{data['stage']}: {data['status']}{why}"

    def _line(self) -> str:
        head = [f"{len(self.ended)} of {self.total} stages ended"] if self.total > 1 else []
        shown = [f"{name}: {text}" for name, text in list(self.now.items())[:SHOWN]]
        more = [f"{len(self.now) - SHOWN} more"] if len(self.now) > SHOWN else []
        return " · ".join([*head, *shown, *more])
