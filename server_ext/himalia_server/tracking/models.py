"""What crosses the wire about models and tracking."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from ..service.inputs import Version


class ModelVersionView(BaseModel):
    """A version in MLflow's registry. `metrics`: the last values of the run that made it, for versions with an
    alias and the newest few; null for others. `created_at`: UTC seconds since the epoch."""

    version: str
    aliases: list[str]
    run_id: str | None
    run_name: str | None
    metrics: dict[str, float] | None
    created_at: float | None


class ModelView(BaseModel):
    """A registered model."""

    name: str
    versions: list[ModelVersionView]


class ModelList(BaseModel):
    """Registered models of a project. `next`: pass it as `cursor` for the rest; null at the end."""

    items: list[ModelView]
    next: str | None


class AliasSet(BaseModel):
    """Which version the alias points to from now on."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"version": "3"}]})
    version: Version


class TrackingStatus(BaseModel):
    """Whether MLflow answers."""

    state: Literal["starting", "running"]
