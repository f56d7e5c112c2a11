"""What crosses the wire about projects: made, listed, copied, moved, and their members."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..service.inputs import Form
from ..team import Role

AbsolutePath = Annotated[
    str,
    Field(max_length=1000, description="An absolute folder."),
    Form(r"/[^\x00]*", "the whole path of a folder, beginning with /"),
]
NewName = Annotated[str, Field(max_length=200, description="2 to 63 small letters, digits and -; free at this site.")]


def _strict(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [example]})


class ProjectCreate(BaseModel):
    """A new project: from a template, from a git repository, or from a folder that exists.

    A folder or a repository without a himalia.toml gets a small one.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"name": "nyc-flights", "template": "nyc-flights"},
                {"git": "https://git.example/team/churn.git"},
                {"path": "/home/ada/work/churn"},
            ]
        },
    )
    name: Annotated[
        str | None,
        Field(
            max_length=200,
            description="2 to 63 small letters, digits and -; free at this site. Absent: made from the source's.",
        ),
    ] = None
    template: Annotated[str | None, Field(max_length=200, description="Absent with an existing folder.")] = None
    path: Annotated[str | None, Field(max_length=1000, description="Absolute; default: at the site.")] = None
    git: Annotated[
        str | None,
        Field(max_length=1000, description="A repository to clone: https, ssh or an absolute path; no password in it."),
    ] = None


class StageView(BaseModel):
    """A stage as the manifest declares it. `params`: the values that its notebook is given.

    `settings`: what else its table says (`after`, `timeout`, `retries`, `cache` and so on), as it is written there.
    """

    name: str
    notebook: str
    params: dict[str, Any]
    inputs: list[str]
    outputs: list[str]
    waits_for: list[str]
    cluster: str | None
    settings: dict[str, Any]


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
                    "missing": False,
                    "archived_at": None,
                    "trashed_at": None,
                    "purged_at": None,
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
    missing: Annotated[bool, Field(description="Its folder is gone and was not found where it may have been moved.")]
    archived_at: float | None
    trashed_at: float | None
    purged_at: Annotated[float | None, Field(description="When a deleted project is removed for good.")]


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


class NameCheck(BaseModel):
    """Whether a new project can have a name. `suggestion`: a free one like it; the name itself when it will do."""

    name: str
    free: bool
    problem: Annotated[str | None, Field(description="Why not.")]
    suggestion: str


class ProjectClone(BaseModel):
    """A copy of a project's code under another name. Runs, models, secrets and members are not copied."""

    model_config = _strict({"name": "flights-2", "data": True})
    name: NewName
    path: AbsolutePath | None = None
    data: Annotated[bool, Field(description="Copy the declared inputs too.")] = False


class FolderName(BaseModel):
    """A folder that may belong to a project."""

    model_config = _strict({"path": "/home/ada/work/flights"})
    path: AbsolutePath


class Located(BaseModel):
    """Whose folder it is.

    *here*: the project's, as known. *moved*: the project's, which was known elsewhere and is known here from now on.
    *copy*: a copy of the folder of `project`, which is where it was; it can become a project of its own.
    *unknown*: no project of this site, as far as the caller may know.
    """

    state: Literal["here", "moved", "copy", "unknown"]
    project: ProjectView | None
    message: str
    suggestion: Annotated[str | None, Field(description="A free name for a project of its own.")]


class MemberView(BaseModel):
    """A person's role in a project."""

    user: str
    role: Role


class MemberList(BaseModel):
    """Members by name. `next`: pass it as `cursor` for more; null at the end."""

    items: list[MemberView]
    next: str | None


class MemberSet(BaseModel):
    """The role that a person gets."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "contributor"}]})
    role: Role
