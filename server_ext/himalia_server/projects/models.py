"""What crosses the wire about projects."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ..service.inputs import Form


class ProjectCreate(BaseModel):
    """A new project: from a template, or from a folder that exists."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"name": "nyc-flights", "template": "nyc-flights"}]},
    )
    name: Annotated[str, Field(max_length=200, description="2 to 63 small letters, digits and -; free at this site.")]
    template: Annotated[str | None, Field(max_length=200, description="Absent with an existing folder.")] = None
    path: Annotated[str | None, Field(max_length=1000, description="Absolute; default: at the site.")] = None


class TemplateView(BaseModel):
    """What a new project can be made from. `available`: false when a package with its data is not installed."""

    name: str
    title: str
    description: str
    available: bool
    problem: Annotated[str | None, Field(description="What is missing, and how to get it.")]


class TemplateList(BaseModel):
    """Templates that the site offers."""

    items: list[TemplateView]


class StageView(BaseModel):
    """A stage as the manifest declares it. `params`: the values that its notebook is given."""

    name: str
    notebook: str
    params: dict[str, Any]
    inputs: list[str]
    outputs: list[str]
    waits_for: list[str]
    cluster: str | None


class ProjectView(BaseModel):
    """A project and the caller's role in it. Times are UTC seconds since the epoch."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "slug": "nyc-flights",
                    "name": "nyc-flights",
                    "description": "Which flights arrive late?",
                    "path": "/home/ada/himalia/nyc-flights",
                    "kernelspec": "himalia-1a2b3c4d-nyc-flights",
                    "created_at": 1790000000.0,
                    "role": "owner",
                    "stages": [],
                    "problem": None,
                }
            ]
        }
    )
    slug: str
    name: str
    description: str
    path: str
    kernelspec: str
    created_at: float
    role: str
    stages: list[StageView]
    problem: Annotated[str | None, Field(description="What is wrong with himalia.toml, with line and key.")]


class ProjectList(BaseModel):
    """Projects that the caller may see. `next`: pass it as `cursor` for older ones; null at the end."""

    items: list[ProjectView]
    next: str | None


class GuideOpen(BaseModel):
    """Have a copy of a guide."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"below": "/home/ada/work"}]}
    )
    below: Annotated[
        str | None,
        Field(
            max_length=1000,
            pattern=r"^/[^\x00]*$",
            description="A folder that the caller's file browser shows: a new project of the guides is put into it "
            "unless its usual place lies below it.",
        ),
    ] = None


class GuideCopy(BaseModel):
    """A person's copy of a guide. `notebook`: its absolute path. `created`: whether it was not there before."""

    title: str
    project: ProjectView
    notebook: str
    created: bool


class KernelCreate(BaseModel):
    """A kernel that is about to start. `pid`: the process that starts it (the kernel's token lives as long)."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"kernel_id": "b6f0-41c7", "pid": 4711}]}
    )
    kernel_id: Annotated[str, Form("[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, - and _")]
    pid: Annotated[int, Field(gt=0, lt=2**31)]


class KernelGrant(BaseModel):
    """What a kernel is started with. `expires_at`: ISO 8601, UTC; the file is renewed before."""

    env: dict[str, str]
    cwd: str
    token_file: str
    expires_at: str
