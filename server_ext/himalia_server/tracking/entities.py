"""What the service reads of MLflow's runs and models. Times are milliseconds since 1970, UTC."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCRATCH = re.compile(r"verification-[0-9a-f]{19}")
"""Names of workspaces of verifications; no project can be called so."""


@dataclass(frozen=True)
class Run:
    """A run; `metrics` holds the last value of each metric."""

    run_id: str
    experiment_id: str
    name: str
    status: str
    start_time_ms: int | None
    end_time_ms: int | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    @classmethod
    def from_json(cls, run: Mapping[str, Any]) -> Run:
        info, data = run["info"], run.get("data", {})
        return cls(
            run_id=str(info["run_id"]),
            experiment_id=str(info["experiment_id"]),
            name=str(info.get("run_name", "")),
            status=str(info["status"]),
            start_time_ms=_milliseconds(info.get("start_time")),
            end_time_ms=_milliseconds(info.get("end_time")),
            params={item["key"]: str(item.get("value", "")) for item in data.get("params", [])},
            metrics={item["key"]: float(item["value"]) for item in data.get("metrics", [])},
            tags={item["key"]: str(item.get("value", "")) for item in data.get("tags", [])},
        )


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model. `source` is where its files are (`models:/m-…`)."""

    name: str
    version: int
    source: str
    run_id: str | None
    status: str
    description: str
    created_ms: int | None
    aliases: tuple[str, ...]
    tags: Mapping[str, str]

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> ModelVersion:
        return cls(
            name=str(found["name"]),
            version=int(found["version"]),
            source=str(found.get("source", "")),
            run_id=found.get("run_id") or None,
            status=str(found.get("status", "")),
            description=str(found.get("description", "")),
            created_ms=_milliseconds(found.get("creation_timestamp")),
            aliases=tuple(found.get("aliases", [])),
            tags={item["key"]: str(item.get("value", "")) for item in found.get("tags", [])},
        )


def _milliseconds(value: Any) -> int | None:
    return None if value in (None, "") else int(value)


def scratch_name(run_id: str) -> str:
    """The workspace in MLflow of a verification's run."""
    return f"verification-{run_id}"
