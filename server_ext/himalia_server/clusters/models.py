"""What crosses the wire about clusters."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..service.inputs import Form, Name

MemorySize = Annotated[
    str, Field(max_length=32), Form(r"[0-9]+(\.[0-9]+)? ?([kMGT]i?)?B", 'a size such as "2GiB" or "500 MB"')
]


class ClusterCreate(BaseModel):
    """Start a cluster. `memory_limit`: per worker, as Dask writes it ("2GiB"); absent: a fair share of the machine."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"name": "local", "workers": 2}]}
    )
    name: Name
    profile: Annotated[str, Field(max_length=63, description="A kind of cluster that the site offers.")] = "local"
    workers: Annotated[int | None, Field(ge=1, le=256, description="Absent: one a core.")] = None
    threads_per_worker: Annotated[int, Field(ge=1, le=64)] = 1
    memory_limit: MemorySize | None = None


class ClusterScale(BaseModel):
    """The wanted number of workers."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"workers": 4}]})
    workers: Annotated[int, Field(ge=0, le=256)]


class ClusterView(BaseModel):
    """A cluster now. `memory_bytes`: what its workers may use together."""

    name: str
    profile: str
    state: str
    workers: int
    wanted: int
    threads: int
    memory_bytes: int
    address: str | None
    error: str | None
    created_by: str
    created_at: float


class ClusterList(BaseModel):
    """Clusters of a project. `next`: pass it as `cursor` for the rest; null at the end."""

    items: list[ClusterView]
    next: str | None


class ClusterConnection(BaseModel):
    """What a client needs to connect: the address and the certificates, as PEM. Keep it secret."""

    name: str
    address: str
    ca_pem: str
    cert_pem: str
    key_pem: str
    workers: int
    threads: int
