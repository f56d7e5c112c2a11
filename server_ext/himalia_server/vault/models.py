"""What crosses the wire about secrets. There is no model that holds a value on its way out."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..service.inputs import Form

BYTES = 64 << 10
"""Of one value. Linux takes 128 KiB for one variable."""
TOTAL_BYTES = 512 << 10
"""Of all secrets of a project: they and everything else in a kernel's environment share 2 MiB."""
MOST = 200
"""Secrets of a project: names take their part of an environment too, and nobody finds their way in more."""


class SecretSet(BaseModel):
    """A secret's value. `repr` leaves it out, so that no log line has it by accident."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"value": "what nobody else may know"}]}
    )
    value: Annotated[
        str,
        Form(r"[^\x00]+", "a text that is not empty and holds no NUL"),
        Field(max_length=BYTES, repr=False, description="At most 64 KiB.", json_schema_extra={"writeOnly": True}),
    ]


class SecretView(BaseModel):
    """A secret without its value. `changed_at`: UTC seconds since the epoch."""

    name: str
    created_by: Annotated[str, Field(description="Who set it last.")]
    changed_at: float
    problem: Annotated[str | None, Field(description="Why kernels cannot be given it; null: they are.")]


class SecretList(BaseModel):
    """A project's secrets, by name."""

    items: list[SecretView]


class SecretChanged(SecretView):
    """A secret that was set. `running`: kernels that go on with what they were started with."""

    running: int
    note: str


class Rotation(BaseModel):
    """A new key is in use. `resealed`: values encrypted anew; `lost`: those that the old key could not open."""

    resealed: int
    lost: list[str]
