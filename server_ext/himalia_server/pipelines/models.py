"""What crosses the wire about runs. Times are UTC seconds since the epoch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..projects import Parameters, RelativePath
from ..service.inputs import Form, printable
from .requests import Options

GOOD = ("succeeded", "skipped")
"""Statuses of stages whose outputs are there."""
TERMINAL = {*GOOD, "failed", "timed_out", "kernel_died", "cancelled", "upstream_failed", "not_run", "lost"}
"""Statuses after which nothing changes any more."""


class RunCreate(BaseModel):
    """Run the pipeline, or one notebook, on a snapshot of the project as it is now."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"params": {"train": {"seed": 11}}, "options": {"only": ["train"]}}, {"notebook": "eda.ipynb"}]
        },
    )
    params: Annotated[
        dict[str, Parameters],
        Field(description="Per stage: parameters that differ from the manifest's. Of a notebook: under `notebook`."),
    ] = {}
    options: Annotated[Options, Field(description="Which stages are run, and how.")] = Options()
    notebook: Annotated[RelativePath | None, Field(description="Run this notebook, which need not be a stage.")] = None
    inputs: Annotated[
        list[RelativePath], Field(description="Files that the notebook may read, beside the code.", max_length=1000)
    ] = []


class SweepCreate(BaseModel):
    """Run the pipeline once for each combination of values. Absent: what the manifest's stages with `sweep` say."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"grid": {"train": {"depth": [4, 8], "rate": [0.1, 0.3]}}}]},
    )
    grid: Annotated[
        dict[str, dict[str, Annotated[list[Any], Field(min_length=1, max_length=1000)]]],
        Field(description="Stage → parameter → its values."),
    ] = {}
    options: Annotated[Options, Field(description="Which stages are run, and how.")] = Options()


def _shown(label: str | None) -> str | None:
    """Comes from a cell's source: a strange character in it must not stop the progress from being told."""
    return label and printable(label)


class EndedCell(BaseModel):
    """A cell that has ended: its number (from 1), how long it took, and how it ended."""

    model_config = ConfigDict(extra="forbid", strict=True)
    cell: Annotated[int, Field(ge=0, le=100_000)]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    status: Annotated[str, Field(max_length=24, pattern=r"^[a-z_]+$")]


class StageProgress(BaseModel):
    """Sent by a running stage: the cell (from 1) it is at, of how many, and what that cell is about.

    `cells_done`: that ended well; `running`: whether the cell still runs; `ended`: those since the last report.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"cell": 3, "cells": 9, "label": "Join"}]}
    )
    cell: Annotated[int, Field(ge=0, le=100_000)]
    cells: Annotated[int, Field(ge=0, le=100_000)]
    label: Annotated[str | None, Field(max_length=400), AfterValidator(_shown)] = None
    cells_done: Annotated[int | None, Field(ge=0, le=100_000)] = None
    running: bool | None = None
    ended: Annotated[list[EndedCell], Field(max_length=1000)] = []


class StageRunView(BaseModel):
    """One stage of a run. `outputs`: path → digest. `reason`: why it waits, ran, or did not.

    `key`: of what it was made of; `cached_from`: the run whose result it has. `attempts`: those that have ended.
    `failed_cell`: the place among all cells of its executed notebook, from 0, where it ended. `cell_seconds`: of each
    cell that was reached. `warnings`: what a person should know although it may have ended well.
    """

    name: str
    status: str
    reason: str | None
    params: dict[str, Any]
    outputs: dict[str, Any]
    key: str | None
    cached_from: str | None
    attempts: int
    failed_cell: int | None
    error_name: str | None
    cell_seconds: list[float]
    warnings: list[str]
    cell: int
    cells: int
    label: str | None
    tracking_run: str | None
    notebook: bool
    error: str | None
    hint: str | None
    started_at: float | None
    ended_at: float | None


class RunView(BaseModel):
    """A run with its stages in the order of execution. `components`: `project/component@version` → digest.

    `environment`: the digest of the lock that it runs with; null: the site's own, or not known yet. `kind`: pipeline,
    notebook or verification; `trigger`: what asked for it. `code`: commit, branch and dirtiness of git; empty without.
    `origin`: the run that it resumes. `warnings`: what a person should know of its parameters.
    """

    id: str
    project: str
    kind: str
    trigger: str
    options: Options
    code: dict[str, Any]
    origin: str | None
    sweep: str | None
    schedule: str | None
    slot: str | None
    status: str
    reason: str | None
    snapshot: str
    components: dict[str, str]
    environment: str | None
    warnings: list[str]
    created_by: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    stages: list[StageRunView]


class RunList(BaseModel):
    """Runs, newest first. `next`: pass it as `cursor` for older ones; null at the end."""

    items: list[RunView]
    next: str | None


class SweepView(BaseModel):
    """A sweep and its runs in the order of its points. `points`: per run, stage → parameter → value."""

    id: str
    project: str
    grid: dict[str, dict[str, list[Any]]]
    created_by: str
    created_at: float
    points: list[dict[str, dict[str, Any]]]
    runs: list[RunView]


class RestoreView(BaseModel):
    """Paths of the project that were written."""

    paths: list[str]


class CollectRequest(BaseModel):
    """`dry_run`: only say what would be removed."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"dry_run": True}]})
    dry_run: bool = False


class CollectView(BaseModel):
    """What was removed, or would be. `runs`, `results`: past the time that their projects keep them; `objects`: files
    of the content store that nothing refers to, with their `bytes`. `missing`: objects that should be there.
    """

    dry_run: bool
    runs: int
    results: int
    objects: int
    bytes: int
    kept_objects: int
    kept_bytes: int
    missing: int


class AttemptView(BaseModel):
    """A try of a stage that was tried again."""

    number: int
    status: str
    error: str | None
    hint: str | None
    notebook: bool
    log: bool
    started_at: float | None
    ended_at: float


class ParameterView(BaseModel):
    """A parameter of a notebook, from its cell tagged `parameters`.

    `type`: in words; `annotation`, `default`: as they are written there. `value`: the default, when it is `plain` (a
    number, a text, a list of them …). `choices`: the values that it may have, when they are named.
    """

    name: str
    type: str
    annotation: str | None
    default: str
    help: str
    plain: bool
    value: Any
    choices: list[Any]


class StageKey(BaseModel):
    """The parts of a stage's key, as it ran: `inputs` and `modules` by digest, `code` a digest for each code cell."""

    key: str
    code: list[str]
    parameters: dict[str, Any]
    inputs: dict[str, str]
    modules: dict[str, str]
    environment: str
    kernel: str
    outputs: list[str]


class Difference(BaseModel):
    """One thing that runs differ in; `values` in the order of the runs, null: not there.

    `part`: "status", "seconds", "parameter", "metric", "output", "code" or "commit".
    """

    stage: str | None
    part: str
    name: str
    values: list[Any]


class CompareView(BaseModel):
    """Runs side by side; `same`: what is equal in all of them."""

    runs: list[RunView]
    differences: list[Difference]
    same: list[Difference]


class StageClaim(BaseModel):
    """A task on a worker begins with an attempt. `ticket`: what it was submitted with; `claimant`: its own, at random.

    `worker`, `address`: of the worker, as Dask names it.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    ticket: Annotated[str, Form("[0-9a-f]{16}", "16 digits")]
    claimant: Annotated[str, Form("[0-9a-f]{32}", "32 digits")]
    worker: Annotated[str, Field(max_length=200)]
    address: Annotated[str, Field(max_length=200)]


class StageOffer(BaseModel):
    """What a stage is run with on a worker. `grant` holds secrets.

    `files`: path → digest; `folders`: those that are there even when they are empty; `runner`: the interpreter that
    runs stages on the service's machine.
    """

    spec: dict[str, Any]
    grant: dict[str, Any]
    files: dict[str, str]
    folders: list[str]
    runner: str
    project: str


class LogReply(BaseModel):
    """How many bytes of the log are kept; `token`: the one to use from now on, when it was renewed."""

    size: int
    token: str | None
