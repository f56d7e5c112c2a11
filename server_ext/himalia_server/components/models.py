"""What crosses the wire about components. Times are UTC seconds since the epoch."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..service.inputs import Form
from .versions import FORM

Version = Annotated[str, Form(FORM, "a version, for example 1.2: a digit first, then letters, digits and . + -")]
ComponentName = Annotated[str, Form("[a-z][a-z0-9_-]{0,62}", "1 to 63 small letters, digits, _ and -, a letter first")]
Note = Annotated[str, Form(r"[^\x00-\x08\x0b-\x1f\x7f]{0,2000}", "at most 2000 characters without control characters")]
Module = Annotated[str, Form("[A-Za-z_][A-Za-z0-9_]{0,99}", "a module's name")]


class ComponentPublish(BaseModel):
    """Publish the project's `src/`, or one module or package of it, as a version that never changes."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"name": "features", "version": "1.2"}]}
    )
    name: ComponentName
    version: Version
    note: Annotated[Note, Field(description="What is new in it.")] = ""
    module: Annotated[Module | None, Field(description="Only this module or package; absent: all of src/.")] = None


class ComponentUsed(BaseModel):
    """Which version a project shall use."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"version": "1.2"}]})
    version: Version


class VersionView(BaseModel):
    """A published version. `modules`: names to import. `digest`: of its files."""

    version: str
    digest: str
    modules: list[str]
    files: Annotated[int | None, Field(description="How many; null: some are lost, see `problem`.")]
    problem: Annotated[str | None, Field(description="Why it cannot be used; null: it can.")]
    note: str
    created_by: str
    created_at: float


class ComponentView(BaseModel):
    """A component, `project/component`. `versions`: oldest first."""

    name: str
    project: Annotated[str | None, Field(description="The publishing project; null: it is gone.")]
    versions: list[str]
    newest: str
    used_by: Annotated[int, Field(description="Projects that use it.")]


class ComponentList(BaseModel):
    """Components that the caller may see, by name. `next`: pass it as `cursor` for more; null at the end."""

    items: list[ComponentView]
    next: str | None


class UserView(BaseModel):
    """A project that uses a component."""

    project: str
    version: str


class ComponentDetail(ComponentView):
    """With all versions, newest first, and the projects that use it, as far as the caller may see them."""

    published: list[VersionView]
    users: list[UserView]


class ComponentPublished(VersionView):
    """A version that was published. `warnings`: what may surprise who uses it."""

    name: str
    warnings: list[str]
    unchanged: Annotated[bool, Field(description="This version was there already, with the same files.")] = False


class UseView(BaseModel):
    """A component that a project uses. `newest`: there is a newer version when it differs from `version`."""

    name: str
    version: str
    digest: str | None
    newest: str | None
    modules: list[str]
    problem: str | None


class ProjectComponents(BaseModel):
    """What a project uses and publishes, and what is wrong with the names of its modules."""

    uses: list[UseView]
    publishes: list[ComponentView]
    problems: list[str]


class ApiChange(BaseModel):
    """What differs in a public function, class or method.

    `kinds`: added, removed, signature, docstring, code. `breaking`: calls that worked may fail.
    """

    name: str
    kinds: list[str]
    before: Annotated[str | None, Field(description="Its signature in the older version.")]
    after: str | None
    breaking: bool


class FileChange(BaseModel):
    """A file that differs. `diff`: unified; null for what is no text. `cut`: it has more lines than are shown."""

    path: str
    change: str
    diff: str | None
    cut: bool


class Comparison(BaseModel):
    """What differs between two versions. `faults`: modules that could not be read."""

    api: list[ApiChange]
    files: list[FileChange]
    breaking: bool
    faults: list[str]
