"""What crosses the wire about the end of projects."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field


class Using(BaseModel):
    """A project that uses a component of another."""

    project: str
    component: str


class Removal(BaseModel):
    """What deleting a project takes away. Sizes in bytes. null: cannot be told now."""

    project: str
    folder: str
    files: int
    bytes: int
    more: Annotated[bool, Field(description="The folder holds more files than were counted.")]
    runs: int
    running: Annotated[int, Field(description="Runs that are cancelled.")]
    kernels: Annotated[
        int,
        Field(
            description="Kernels of notebooks. They are Jupyter's: they lose every right in the project, and go on "
            "until they are shut down in JupyterLab."
        ),
    ]
    models: int | None
    versions: Annotated[int | None, Field(description="Of models.")]
    endpoints: list[str]
    clusters: list[str]
    secrets: int
    components: Annotated[int, Field(description="Published versions; they stay, and cannot be published anew.")]
    used_by: list[Using]
    members: int
    days: Annotated[int, Field(description="So long it can be restored, unless it is purged.")]
