"""Runs of the pipeline: what they show, and waiting for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from himalia._display import duration, html_card, html_table, in_front_end, moment, one_line, text_table
from himalia._errors import HimaliaError

if TYPE_CHECKING:
    from himalia._connection import Connection

RUN_COLUMNS = ("id", "state", "created")
STAGE_COLUMNS = ("stage", "state", "took", "about")
ENDED = frozenset({"succeeded", "failed", "cancelled", "timed_out"})
"""States of a run after which nothing changes any more."""
SHORT = 160
"""Characters of an error that a row of the table shows."""


@dataclass(frozen=True)
class Run:
    """One execution of the pipeline; ``data`` is the service's whole document."""

    id: str
    state: str
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    _connection: Connection | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], connection: Connection | None = None) -> Run:
        return cls(str(data["id"]), str(data["status"]), dict(data), connection)

    @property
    def ended(self) -> bool:
        """Whether nothing changes any more."""
        return self.state in ENDED

    def refresh(self) -> Run:
        """The run as it is now."""
        return self._owner().run(self.id)

    def cancel(self) -> Run:
        """Stop the run; returns it as it is then: its stages may take a moment to end."""
        return self._owner().cancel_run(self.id)

    def wait(self, timeout: float = 3600.0) -> Run:
        """Wait for the run's end; returns the run as it is then.

        *timeout* is in seconds. Raises HimaliaError when it is over, or when the run has not succeeded; the run
        goes on when only the waiting ends.
        """
        found = self.follow(lambda now: None, timeout)
        if found.state != "succeeded":
            raise found._failure()
        return found

    def follow(self, show: Callable[[Run], object], timeout: float | None = None) -> Run:
        """Wait for the run's end and return the run as it is then, however it has ended.

        *show* is called with the run each time when it is asked for. *timeout* is in seconds, None: no limit; raises
        HimaliaError when it is over. The run goes on when only the waiting ends.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.2
        while True:
            now = self.refresh()
            show(now)
            if now.ended:
                return now
            if deadline is not None and time.monotonic() + pause > deadline:
                raise HimaliaError(
                    None,
                    f"The run {self.id} has not ended yet",
                    f"waited {timeout:g} s",
                    "It goes on; look at it in Himalia's sidebar, under Runs.",
                )
            time.sleep(pause)
            pause = min(1.5 * pause, 2.0)

    def _owner(self) -> Connection:
        if self._connection is None:
            raise ValueError("this run was not got from the service")
        return self._connection

    def _failure(self) -> HimaliaError:
        broken = self._broken()
        if broken is None:
            return HimaliaError(None, f"The run {self.id} {self._verb()}", str(self.data.get("reason") or ""))
        detail = f"stage {broken['name']}: {broken.get('error') or broken.get('reason')}"
        hint = broken.get("hint") or "Its executed notebook is in Himalia's sidebar, under Runs."
        return HimaliaError(None, f"The run {self.id} {self._verb()}", detail, str(hint))

    def _broken(self) -> Mapping[str, Any] | None:
        """The stage to be told of; each has a reason, of one that went well it is no fault."""
        bad = [stage for stage in self._stages() if stage["status"] not in ("succeeded", "skipped")]
        with_error = [stage for stage in bad if stage.get("error")]
        return next(iter(with_error or [stage for stage in bad if stage.get("reason")]), None)

    def _verb(self) -> str:
        return {"cancelled": "was cancelled", "timed_out": "took too long"}.get(self.state, self.state)

    def _stages(self) -> list[Mapping[str, Any]]:
        return list(self.data.get("stages") or ())

    def _stage_rows(self) -> list[tuple[str, ...]]:
        return [
            (
                str(stage["name"]),
                words(stage["status"]),
                duration(stage.get("started_at"), stage.get("ended_at")),
                _about(stage),
            )
            for stage in self._stages()
        ]

    def _notes(self) -> list[str]:
        """What a person should know beside the table: warnings, and what to do about a failure."""
        notes = [f"Warning: {warning}" for warning in self.data.get("warnings") or ()]
        broken = self._broken() if self.ended and self.state != "succeeded" else None
        if broken is not None and broken.get("hint"):
            notes.append(str(broken["hint"]))
        return notes

    def _cells(self) -> tuple[str, ...]:
        return (self.id, words(self.state), moment(self.data.get("created_at")))

    def _head(self) -> str:
        reason = self.data.get("reason")
        return f"Run {self.id}: {words(self.state)}" + (f" ({one_line(str(reason), SHORT)})" if reason else "")

    def __repr__(self) -> str:
        rows = self._stage_rows()
        return "\n".join([self._head(), *([text_table(STAGE_COLUMNS, rows)] if rows else []), *self._notes()])

    def _repr_html_(self) -> str:
        facts = list(zip(RUN_COLUMNS[1:], self._cells()[1:], strict=True))
        facts += [("reason", str(self.data.get("reason") or "")), *(("note", note) for note in self._notes())]
        stages = html_table(STAGE_COLUMNS, self._stage_rows()) if self._stages() else ""
        return html_card(f"Run {self.id}", facts, stages)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """A live display where someone can see it, of a run that goes on; elsewhere the plain ones above are taken."""
        if self._connection is None or self.ended or not in_front_end():
            return {}
        try:
            from himalia._widgets import run_panel
        except ImportError:  # ipywidgets is optional in a project's environment
            return {}
        bundle = run_panel(self)._repr_mimebundle_()
        return {**(bundle or {}), "text/plain": repr(self), "text/html": self._repr_html_()}


def words(state: object) -> str:
    """A state of a run or stage for people: ``timed out``."""
    return str(state).replace("_", " ")


def _about(stage: Mapping[str, Any]) -> str:
    """What there is to tell about a stage of a run: its error, the cell it is at, or why it is as it is."""
    if stage.get("error"):
        return one_line(str(stage["error"]), SHORT)
    if stage["status"] == "running" and stage.get("cells"):
        at = f"cell {stage.get('cell')} of {stage['cells']}"
        return one_line(f"{at}: {stage['label']}" if stage.get("label") else at, SHORT)
    return one_line(str(stage.get("reason") or ""), SHORT)
