"""The stages of a pipeline: what a run would do now, and what has changed."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from himalia._display import Listing, html_card, moment, one_line

PIPELINE_COLUMNS = ("stage", "state", "why", "last result")
STATES = {
    "up_to_date": "unchanged",
    "changed": "would run",
    "new": "would run, for the first time",
    "waits": "waits for others",
    "invalid": "cannot run",
}
NO_STAGE = "No stage yet. In a notebook, `%stage --add NAME` makes it one."
SHORT = 120


@dataclass(frozen=True)
class StageState:
    """A stage and what a run would do with it now; ``data`` is the service's whole document.

    ``state``: ``up_to_date``, ``changed``, ``new``, ``waits`` (depends on others that would run) or ``invalid``.
    """

    name: str
    notebook: str
    state: str
    why: str
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StageState:
        return cls(str(data["name"]), str(data["notebook"]), str(data["state"]), str(data["why"]), dict(data))

    def _words(self) -> str:
        return STATES.get(self.state, self.state.replace("_", " "))

    def _last(self) -> str:
        if not self.data.get("last_run"):
            return "–"
        took = self.data.get("last_seconds")
        return moment(self.data.get("last_ended_at")) + (f", took {took:.1f} s" if took is not None else "")

    def _cells(self) -> tuple[str, ...]:
        return (self.name, self._words(), one_line(self.why, SHORT), self._last())

    def _facts(self) -> list[tuple[str, str]]:
        params = ", ".join(f"{name} = {value!r}" for name, value in (self.data.get("params") or {}).items())
        return [
            ("state", self._words()),
            ("why", self.why),
            ("notebook", self.notebook),
            ("params", params),
            ("inputs", ", ".join(self.data.get("inputs") or ())),
            ("outputs", ", ".join(self.data.get("outputs") or ())),
            ("last result", self._last()),
        ]

    def __repr__(self) -> str:
        return "\n".join([f"Stage {self.name}", *(f"  {name}: {value}" for name, value in self._facts() if value)])

    def _repr_html_(self) -> str:
        return html_card(f"Stage {self.name}", self._facts())


class Pipeline(Listing[StageState]):
    """The stages of a project, each after those it waits for.

    ``waiting``: why no stage can start yet (its environment is being built); empty when nothing is in the way.
    """

    def __init__(self, stages: list[StageState], waiting: str = "") -> None:
        super().__init__(stages, PIPELINE_COLUMNS, NO_STAGE)
        self.waiting = waiting

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pipeline:
        return cls([StageState.from_json(item) for item in data["stages"]], str(data.get("waiting") or ""))

    def __repr__(self) -> str:
        note = f"The environment: {self.waiting}\n" if self.waiting else ""
        return note + super().__repr__()

    def _repr_html_(self) -> str:
        note = f"<p>The environment: {html.escape(self.waiting)}</p>" if self.waiting else ""
        return note + super()._repr_html_()


@dataclass(frozen=True)
class StageDiff:
    """What has changed since the last result of a stage.

    ``changes``: a sentence each. ``cells``: number of the cell in the notebook (from 1; None: it is gone) and the
    difference in the unified form. ``files``: path and difference of the short texts among the files that it reads.
    """

    stage: str
    why: str
    changes: tuple[str, ...]
    cells: tuple[tuple[int | None, str], ...]
    files: tuple[tuple[str, str], ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StageDiff:
        cells = tuple((None if c["number"] is None else int(c["number"]) + 1, str(c["diff"])) for c in data["cells"])
        found = (each for file in data["files"] for each in (file, *file["files"]))
        files = tuple((str(file["path"]), str(file["diff"])) for file in found if file["diff"] is not None)
        return cls(str(data["stage"]), str(data["why"]), tuple(str(c["text"]) for c in data["changes"]), cells, files)

    def _titled(self) -> list[tuple[str, str]]:
        cells = [("a cell that is gone" if number is None else f"cell {number}", diff) for number, diff in self.cells]
        return [*cells, *self.files]

    def __repr__(self) -> str:
        lines = [f"Stage {self.stage}: {self.why}", *(f"  • {change}" for change in self.changes)]
        for title, diff in self._titled():
            lines += ["", f"{title}:", *(f"  {line}" for line in diff.splitlines())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        changes = "".join(f"<li>{html.escape(change)}</li>" for change in self.changes)
        cells = "".join(f"<p>{html.escape(title)}</p><pre>{html.escape(diff)}</pre>" for title, diff in self._titled())
        return html_card(f"Stage {self.stage}: {self.why}", [], (f"<ul>{changes}</ul>" if changes else "") + cells)
