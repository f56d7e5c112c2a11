"""What crosses the wire about runs. Times are UTC seconds since the epoch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..projects import Parameters
from ..service.inputs import printable

TERMINAL = {"succeeded", "failed", "timed_out", "kernel_died", "cancelled", "upstream_failed", "lost"}
"""Statuses after which nothing changes any more."""


class RunCreate(BaseModel):
    """Run the whole pipeline on a snapshot of the project as it is now."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"params": {"train": {"seed": 11}}}]}
    )
    params: Annotated[
        dict[str, Parameters], Field(description="Per stage: parameters that differ from the manifest's.")
    ] = {}


def _shown(label: str | None) -> str | None:
    """Comes from a cell's source: a strange character in it must not stop the progress from being told."""
    return label and printable(label)


class StageProgress(BaseModel):
    """Sent by a running stage: the cell (from 1) it is at, of how many, and what that cell is about."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"cell": 3, "cells": 9, "label": "Join"}]}
    )
    cell: Annotated[int, Field(ge=0, le=100_000)]
    cells: Annotated[int, Field(ge=0, le=100_000)]
    label: Annotated[str | None, Field(max_length=400), AfterValidator(_shown)] = None


class StageRunView(BaseModel):
    """One stage of a run. `outputs`: path → digest."""

    name: str
    status: str
    reason: str | None
    params: dict[str, Any]
    outputs: dict[str, Any]
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

    `environment`: the digest of the lock that it runs with; null: the site's own, or not known yet.
    """

    id: str
    project: str
    status: str
    reason: str | None
    snapshot: str
    components: dict[str, str]
    environment: str | None
    created_by: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    stages: list[StageRunView]


class RunList(BaseModel):
    """Runs, newest first. `next`: pass it as `cursor` for older ones; null at the end."""

    items: list[RunView]
    next: str | None
