"""What crosses the wire about environments. Times are UTC seconds since the epoch, sizes bytes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..projects import KernelStartView

State = Literal["shared", "none", "building", "ready", "failed", "outdated"]

_BUILD: dict[str, Any] = {
    "id": "19a3f0c2b41d0e5f6a7",
    "state": "ready",
    "step": None,
    "error": None,
    "package": None,
    "created_by": "ada",
    "created_at": 1790000000.0,
    "ended_at": 1790000012.5,
}
_VIEW: dict[str, Any] = {
    "environment": None,
    "state": "ready",
    "source": "requirements.txt",
    "kind": "overlay",
    "digest": "sha256:" + "0f" * 32,
    "name": "requirements.txt, overlay",
    "python": "3.12.1",
    "interpreter": "/home/ada/.local/share/himalia/environments/0f0f0f0f0f0f0f0f/bin/python",
    "packages": 12,
    "bytes": 48_000_000,
    "shared_with": 1,
    "reason": None,
    "error": None,
    "package": None,
    "notes": [],
    "build": _BUILD,
    "log": "/api/v1/projects/nyc-flights/environment/log",
    "kernels_outdated": [],
    "start": {
        "state": "ready",
        "reason": None,
        "modules": [{"name": "pandas", "seconds": 0.9, "problem": None}],
        "seconds": 3.8,
        "bytes": 247_000_000,
        "forks": 12,
        "kernels": 2,
    },
    "others": [{"name": "training", "state": "none", "source": "training.txt", "problem": None}],
}


class EnvironmentBuild(BaseModel):
    """Build the project's environment, unless it is up to date."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"upgrade": False}]})
    upgrade: Annotated[bool, Field(description="Resolve anew and take the newest versions that the source allows.")] = (
        False
    )


class BuildView(BaseModel):
    """One making of an environment. `state`: building, ready, failed or cancelled; `step`: what it does now."""

    model_config = ConfigDict(json_schema_extra={"examples": [_BUILD]})
    id: str
    state: str
    step: str | None
    error: str | None
    package: Annotated[str | None, Field(description="The package that could not be had.")]
    created_by: str
    created_at: float
    ended_at: float | None


class OtherEnvironment(BaseModel):
    """An environment of the project beside its own, which stages run in that name it."""

    name: str
    state: State
    source: Annotated[str | None, Field(description="The file that says what is in it; null: that cannot be known.")]
    problem: Annotated[str | None, Field(description="Why there is none, or why it is outdated.")]


class EnvironmentView(BaseModel):
    """What the project's code runs in, and whether that is what himalia.toml asks for.

    `digest`, `python`, `interpreter`, `packages` and `bytes` are of the environment in use: while another one is built,
    or when that failed, the one before.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_VIEW]})
    environment: Annotated[str | None, Field(description="Its name in [environments]; null: the project's own.")]
    state: State
    source: Annotated[str | None, Field(description="The file that says what is in it; null: the site's own.")]
    kind: Literal["overlay", "isolated"] | None
    digest: Annotated[str, Field(description='Of the lock ("sha256:…"), or "shared" for the site\'s own.')]
    name: str
    python: Annotated[str, Field(description="Version of Python.")]
    interpreter: str
    packages: Annotated[int | None, Field(description="Packages of the lock; null: the site's own environment.")]
    bytes: int | None
    shared_with: Annotated[int, Field(description="Other projects that use the same one.")]
    reason: Annotated[str | None, Field(description="Why it is outdated.")]
    error: Annotated[str | None, Field(description="Why the build failed, or what is wrong with the source.")]
    package: str | None
    notes: Annotated[list[str], Field(description="What somebody who uses it should know.")]
    build: Annotated[BuildView | None, Field(description="The last one.")]
    log: Annotated[str | None, Field(description="Address of the last build's log.")]
    kernels_outdated: Annotated[list[str], Field(description="Kernels to restart, to have them use this environment.")]
    start: Annotated[KernelStartView | None, Field(description="Null: the manifest has a fault.")]
    others: Annotated[list[OtherEnvironment], Field(description="Those that it has beside its own.")]


class BuildAnswer(BaseModel):
    """What came of asking for a build.

    *unchanged*: it is up to date; *running*: it is being built already; *switched*: one that was made for another
    project, or before, is used; *started*: it is being built now.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"result": "unchanged", "environment": _VIEW}]})
    result: Literal["unchanged", "running", "switched", "started"]
    environment: EnvironmentView


class PackageView(BaseModel):
    """A package of the lock. `version`: or the address that it comes from; `marker`: where it belongs."""

    name: str
    version: str
    marker: str | None
    installed: Annotated[bool, Field(description="Whether it belongs to this machine and Python.")]


class PackageList(BaseModel):
    """Packages of the project's lock by name. `next`: pass it as `cursor`; null at the end."""

    items: list[PackageView]
    next: str | None


class StoredEnvironment(BaseModel):
    """An environment on the disk. `projects`: that use it; `used_at`: when somebody last did."""

    key: str
    digest: str
    python: str
    overlay: bool
    packages: int
    bytes: int
    projects: int
    in_use: bool
    created_at: float
    used_at: float


class StoredEnvironments(BaseModel):
    """All environments of the site."""

    items: list[StoredEnvironment]


class EnvironmentPrune(BaseModel):
    """Remove environments that nothing has used for so many days."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"days": 7}]})
    days: Annotated[int, Field(ge=0, le=3650)] = 0


class Pruned(BaseModel):
    """What was removed. `bytes`: freed on the disk, at most: files that uv's cache has too are freed with that."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"removed": ["0f0f"], "bytes": 48_000_000}]})
    removed: list[str]
    bytes: int
