"""What crosses the wire about templates."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ...service.inputs import Form, visible


class TemplateView(BaseModel):
    """What a new project can be made from. `available`: false when a package with its data is not installed."""

    name: str
    title: str
    description: str
    available: bool
    problem: Annotated[str | None, Field(description="What is missing, and how to get it.")]
    source: Annotated[str | None, Field(description="Where the team's own was taken from; null: Himalia's.")] = None
    digest: Annotated[str | None, Field(description="Of the team's own: of all its files.")] = None


class TemplateList(BaseModel):
    """Templates that the site offers."""

    items: list[TemplateView]


TemplateName = Annotated[
    str, Form("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "1 to 63 small letters, digits and -, without - at its ends")
]


class TemplateAdd(BaseModel):
    """A template of the team. The folder, or the repository, holds a himalia.toml and maybe a template.toml."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"source": "/home/ada/templates/churn", "name": "churn"}]},
    )
    source: Annotated[
        Annotated[str, visible(1000)], Field(description="An absolute folder, or the address of a git repository.")
    ]
    name: Annotated[TemplateName | None, Field(description="Default: template.toml's, else the source's.")] = None
