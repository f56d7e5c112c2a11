"""What crosses the wire about schedules. Times are UTC seconds since the epoch unless they say otherwise."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..pipelines import Options
from ..projects import Duration, Parameters, RelativePath, StageName
from ..service.inputs import Form, Name, visible
from .cron import LONGEST, CronError, parse
from .policy import CatchUp, Overlap, Policy
from .zones import ZoneError, zone

MOST = 100
"""Slots that are caught up, or wait, at most."""
_COUNT = rf"\(({MOST}|[1-9][0-9]?)\)"
_CATCH_UP, _OVERLAP = rf"none|last|all{_COUNT}", rf"skip|queue{_COUNT}|cancel|allow"


def _cron(text: str) -> str:
    try:
        parse(text)
    except CronError as error:
        raise ValueError(str(error)) from error
    return " ".join(text.split())


def _zone(name: str) -> str:
    try:
        return zone(name).key
    except ZoneError as error:
        raise ValueError(str(error)) from error


CronText = Annotated[
    str,
    AfterValidator(_cron),
    Field(
        max_length=LONGEST,
        description="Minute, hour, day of the month, month, weekday; or @daily and its like.",
        examples=["30 2 * * 1-5"],
    ),
]
ZoneText = Annotated[
    str,
    AfterValidator(_zone),
    Field(max_length=64, description="An IANA time zone.", examples=["Europe/Berlin"]),
]
CatchUpText = Annotated[
    str,
    Form(_CATCH_UP, f"none, last or all(n) with n from 1 to {MOST}"),
    Field(description="What becomes of slots at whose time nothing could run.", examples=["last"]),
]
OverlapText = Annotated[
    str,
    Form(_OVERLAP, f"skip, queue(n) with n from 1 to {MOST}, cancel or allow"),
    Field(description="What becomes of a slot while the run before it goes on.", examples=["skip"]),
]
Deadline = Annotated[
    Duration | None, Field(description="How long after its time a slot may still begin; null: however long.")
]


class PipelineTarget(BaseModel):
    """Runs the project's pipeline. `params`: per stage, what differs from the manifest's."""

    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Literal["pipeline"]
    params: dict[StageName, Parameters] = {}
    options: Options = Options()


class NotebookTarget(BaseModel):
    """Runs one notebook, which need not be a stage. `inputs`: files that it reads beside the project's code."""

    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Literal["notebook"]
    notebook: RelativePath
    params: Parameters = {}
    inputs: Annotated[list[RelativePath], Field(max_length=1000)] = []
    options: Options = Options()


Target = Annotated[PipelineTarget | NotebookTarget, Field(discriminator="kind")]
_EXAMPLE: dict[str, Any] = {
    "name": "nightly",
    "target": {"kind": "pipeline"},
    "cron": "30 2 * * 1-5",
    "zone": "Europe/Berlin",
}


class ScheduleCreate(BaseModel):
    """A new schedule, pinned to the code of the project as it is now."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [_EXAMPLE]})
    name: Name
    target: Target
    cron: CronText
    zone: ZoneText
    catch_up: CatchUpText = "last"
    overlap: OverlapText = "skip"
    deadline: Deadline = None
    paused: bool = False


class SchedulePatch(BaseModel):
    """What is to change; what is absent stays. A target must be of the same kind, and of the same notebook."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"overlap": "queue(3)"}]})
    target: Target | None = None
    cron: CronText | None = None
    zone: ZoneText | None = None
    catch_up: CatchUpText | None = None
    overlap: OverlapText | None = None
    deadline: Deadline = None


class SchedulePreview(BaseModel):
    """An expression and a zone that somebody thinks of."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"cron": "30 2 * * 1-5", "zone": "Europe/Berlin"}]}
    )
    cron: CronText
    zone: ZoneText


class Time(BaseModel):
    """One slot to come. `local`, `utc`: ISO 8601. `moved`: its wall time does not exist on that day (clocks go
    forward), so that it is due when they have."""

    slot: str
    at: float
    local: str
    utc: str
    moved: bool


class PreviewView(BaseModel):
    """What an expression means: in words, and its next five times."""

    description: str
    zone: str
    next: list[Time]


class PinnedView(BaseModel):
    """The code that runs. `commit`, `dirty`: git's, null without git; `components`: name@version → digest."""

    snapshot: str
    commit: str | None
    branch: str | None
    dirty: bool | None
    components: dict[str, str]


class SlotView(BaseModel):
    """What became of one slot. `state`: queued, started or skipped; `run_status`: null when there is no run (any more).

    `local`: its time in the schedule's zone, ISO 8601.
    """

    slot: str
    due_at: float
    local: str
    state: str
    run_id: str | None
    run_status: str | None
    reason: str | None
    decided_at: float


class SlotList(BaseModel):
    """History, newest first. `next`: pass it as `cursor` for older ones; null at the end."""

    items: list[SlotView]
    next: str | None


class ScheduleView(BaseModel):
    """A schedule. `created_by`: in whose name it runs. `last`: the newest slot that was decided.

    `active`: its runs that go on. `trouble`: why it does not do what one would expect; null: all is well. `deadline`:
    seconds.
    """

    id: str
    project: str
    name: str
    target: Target
    cron: str
    zone: str
    description: str
    catch_up: str
    overlap: str
    deadline: float | None
    paused: bool
    pinned: PinnedView
    next: list[Time]
    last: SlotView | None
    active: list[str]
    trouble: str | None
    created_by: str
    created_at: float
    changed_at: float


class ScheduleList(BaseModel):
    """Schedules, by name. `next`: pass it as `cursor` for more; null at the end."""

    items: list[ScheduleView]
    next: str | None


class CodeUpdated(ScheduleView):
    """A schedule that runs the project's code of now. `before`: the snapshot that it ran until then."""

    before: str
    changed: bool


def policy_of(catch_up: str, overlap: str, deadline: float | None) -> Policy:
    """From how a person writes it."""
    catch, catch_most = _counted(catch_up)
    over, over_most = _counted(overlap)
    return Policy(
        catch_up=_CATCH_UPS[catch],
        catch_up_most=catch_most,
        overlap=_OVERLAPS[over],
        queue_most=over_most,
        deadline=deadline,
    )


_CATCH_UPS: dict[str, CatchUp] = {"none": "none", "last": "last", "all": "all"}
_OVERLAPS: dict[str, Overlap] = {"skip": "skip", "queue": "queue", "cancel": "cancel", "allow": "allow"}


def _counted(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"([a-z]+)(?:\((\d+)\))?", text)
    assert match is not None  # checked by its form
    return match[1], int(match[2] or 1)


SlotKnown = Annotated[str, visible(80)]
