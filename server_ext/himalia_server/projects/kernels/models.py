"""What crosses the wire about kernels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...service.inputs import Form


class KernelCreate(BaseModel):
    """A kernel that is about to start. `pid`: the process that starts it (the kernel's token lives as long)."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"kernel_id": "b6f0-41c7", "pid": 4711}]}
    )
    kernel_id: Annotated[str, Form("[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, - and _")]
    pid: Annotated[int, Field(gt=0, lt=2**31)]


class EnvironmentGrant(BaseModel):
    """An environment. `digest`: of its lock ("sha256:…"), or "shared" for the site's own."""

    digest: str
    name: str


class ZygoteGrant(BaseModel):
    """The zygote of a kernel's environment. `folder`: of sockets and locks; `key`: changes with the environment."""

    folder: str
    preload: Annotated[list[str] | None, Field(description="Null: the default of the kernels' side.")]
    key: str


class PreloadView(BaseModel):
    """A module that kernels find imported. `seconds`: what that took, beyond those before it; null: not (yet)."""

    name: str
    seconds: float | None
    problem: Annotated[str | None, Field(description="Why it could not be imported.")]


class KernelStartView(BaseModel):
    """How the next kernel starts.

    `state`: *ready*, it is forked from a process (the zygote) that has imported `modules` already; *starting*, that
    process still imports; *none*, there is no such process (yet); *refused*, it may not be forked; *off*, never here.
    In all but the first it starts as an ordinary process.
    """

    state: Literal["ready", "starting", "none", "refused", "off"]
    reason: str | None
    modules: list[PreloadView]
    seconds: Annotated[float | None, Field(description="What all imports took, once.")]
    bytes: Annotated[int | None, Field(description="Memory that the process has for itself.")]
    forks: Annotated[int, Field(description="Kernels that it has started.")]
    kernels: Annotated[int, Field(description="Those that still live.")]


class LimitsGrant(BaseModel):
    """What a kernel may use; null: all that there is."""

    memory_bytes: int | None
    cpus: float | None


class Grant(BaseModel):
    """What a kernel or stage is started with. `env` names its variables, of which some are secret."""

    env: dict[str, str]
    cwd: str
    python: Annotated[str, Field(description="The interpreter of the project's environment as it is now.")]
    environment: EnvironmentGrant
    zygote: ZygoteGrant | None
    limits: LimitsGrant
    pass_environment: Annotated[
        list[str], Field(description="Variables of the starter that are passed although they look like secrets.")
    ]
    secrets: Annotated[
        list[str], Field(description="Which of `env` are the project's secrets: for the kernel itself and nobody else.")
    ] = []


class KernelGrant(Grant):
    """An interactive kernel's grant. `expires_at`: ISO 8601, UTC; the token file is renewed before."""

    token_file: str
    expires_at: str
