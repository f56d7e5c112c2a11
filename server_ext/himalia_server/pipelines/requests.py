"""What a run is asked to be; rooms that start runs (schedules, verifications) speak with the pipelines by these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from ..projects import Duration, Manifest, StageName
from ..store import Run

Kind = Literal["pipeline", "notebook", "verification"]
Trigger = Literal["person", "schedule", "sweep", "verification"]
NOTEBOOK_STAGE = "notebook"
"""The name of the one stage of a run of a single notebook."""

Stages = Annotated[list[StageName], Field(max_length=10_000)]


class Options(BaseModel):
    """Which stages are run, and how."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        populate_by_name=True,
        json_schema_extra={"examples": [{"from": ["train"], "keep_going": True}]},
    )
    only: Annotated[Stages, Field(description="These stages and no others.")] = []
    from_: Annotated[
        Stages, Field(alias="from", description="These, and all that depend on them; what they need is taken as it is.")
    ] = []
    to: Annotated[Stages, Field(description="These, and all that they need.")] = []
    force: Annotated[bool, Field(description="Run also what is up to date.")] = False
    keep_going: Annotated[
        bool, Field(description="When a stage fails, run all that does not depend on it; else nothing new begins.")
    ] = False
    parallel: Annotated[int | None, Field(description="The most stages at a time.", ge=1, le=1000)] = None
    timeout: Annotated[Duration | None, Field(description="The longest that the whole run may take.")] = None


@dataclass(frozen=True)
class Pinned:
    """Code as it was when somebody pinned a schedule to it.

    `snapshot`: digest of the tree of code files, without any data; `manifest`: as `Manifest.model_dump()`;
    `components`: `project/component@version` → digest; `code`: commit, branch and dirtiness of git.
    """

    snapshot: str
    manifest: dict[str, Any]
    components: dict[str, str]
    code: dict[str, Any]


@dataclass(frozen=True)
class RunRequest:
    """One run.

    `params`: per stage (of a notebook run: under `NOTEBOOK_STAGE`). `notebook`, `inputs`: of the kinds "notebook" and
    "verification", which run one notebook that need not be a stage: files of the project beside the code that it sees.
    `pinned`: code to run in place of the folder's as it is now; inputs are always taken as they are now.
    `warnings`: to be told of it beside those of its parameters. `apart`: its outputs stay out of the live folder.
    `on_created`: called in the transaction that makes the run, with its row; raises to make none.
    """

    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    kind: Kind = "pipeline"
    notebook: str | None = None
    inputs: tuple[str, ...] = ()
    trigger: Trigger = "person"
    pinned: Pinned | None = None
    origin_id: str | None = None
    sweep_id: str | None = None
    schedule_id: str | None = None
    slot: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    """Variables beyond the project's, such as PYTHONHASHSEED."""
    warnings: tuple[str, ...] = ()
    apart: bool = False
    on_created: Callable[[Session, Run], None] | None = None


def pinned_manifest(pinned: Pinned) -> Manifest:
    """The manifest that was pinned."""
    return Manifest.model_validate(pinned.manifest)
