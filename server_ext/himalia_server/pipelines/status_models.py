"""What crosses the wire about a pipeline as it is now: what a run would do, and what has changed.

Times are UTC seconds since the epoch.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ..projects import Parameters
from .requests import Options


class PlanRequest(BaseModel):
    """Tell what a run of the pipeline as it is now would do."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"params": {"train": {"seed": 11}}, "options": {"from": ["train"]}}]},
    )
    params: Annotated[
        dict[str, Parameters], Field(description="Per stage: parameters that differ from the manifest's.")
    ] = {}
    options: Annotated[Options, Field(description="Which stages are run, and how.")] = Options()


class CellChange(BaseModel):
    """A code cell that differs. `number`: its place among all cells of the newer notebook, from 0; null: it is gone.

    `diff`: in the unified form, without its head.
    """

    number: int | None
    diff: str


class FileDifference(BaseModel):
    """How a file is not what it was. `change`: "changed", "added" or "removed".

    Sizes are in bytes, of a folder those of its files together; null: not known, or there is none. `note`: what there
    is to say, a sentence without its full stop. `diff`: of a short text, in the unified form, without its head; `cut`:
    more differs than it shows.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)
    path: str
    change: str
    old_digest: str | None
    new_digest: str | None
    old_size: int | None = None
    new_size: int | None = None
    note: str | None = None
    diff: str | None = None
    cut: bool = False


class ChangedFile(FileDifference):
    """A file or folder that a stage reads. `part`: "input", "module", or "read" (it does not declare it).

    `files`: of a folder, those that differ, the first of them; `left_out`: how many more there are.
    """

    part: str
    files: list[FileDifference] = []
    left_out: int = 0


class ChangeView(BaseModel):
    """One part of a key that differs from the last result's."""

    part: str
    name: str
    text: str


class StageStatus(BaseModel):
    """What would become of a stage if the pipeline was run now.

    `state`: "up_to_date", "changed" (it would run), "new" (it has no result yet), "waits" (it depends on stages that
    would run), "invalid" (it cannot run: `why` says it). `last_run`: where its last result was made. `restore`: outputs
    that would be put back from the cache.
    """

    name: str
    notebook: str
    state: str
    why: str
    changes: list[ChangeView]
    waits_for: list[str]
    inputs: list[str]
    outputs: list[str]
    restore: list[str]
    params: dict[str, Any]
    cluster: str | None
    environment: Annotated[str | None, Field(description="That its stage asks for; null: the project's own.")]
    key: str | None
    deterministic: bool
    last_run: str | None
    last_seconds: float | None
    last_ended_at: float | None


class StageChanges(BaseModel):
    """What differs from the last result of a stage, as far as that is known still.

    `cells`: the code cells that do; `files`: inputs, modules, and files that it read without declaring them, the first
    of them; `files_left_out`: how many more there are.
    """

    stage: str
    why: str
    changes: list[ChangeView]
    cells: list[CellChange]
    files: list[ChangedFile]
    files_left_out: int


class PipelineView(BaseModel):
    """A project's stages, each after those it waits for, and what a run would do now.

    `problem`: the fault of himalia.toml because of which there is nothing to tell; `waiting`: what keeps a run from
    beginning at once.
    """

    project: str
    problem: str | None = None
    environment: str | None
    waiting: str | None
    stages: list[StageStatus]
