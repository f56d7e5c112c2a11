"""What crosses the wire about himalia.toml. Lines and columns count from 1; columns are characters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...service.inputs import Form, visible

TEXT = Field(max_length=1 << 20, description="The whole file.")
Digest = Annotated[str, Form("sha256:[0-9a-f]{64}", "sha256: and 64 hexadecimal digits")]
Key = Annotated[str, visible(200)]


class ManifestProblem(BaseModel):
    """Something wrong in a manifest, or between it and the project's files."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "file": "himalia.toml",
                    "line": 5,
                    "column": 1,
                    "end_column": 8,
                    "key": "stages.train.notebok",
                    "message": "there is no such key",
                    "hint": "Did you mean 'notebook'?",
                    "severity": "error",
                }
            ]
        }
    )
    file: str
    line: int
    column: int
    end_column: Annotated[int, Field(description="Behind the last character, on the same line.")]
    key: Annotated[str, Field(description="With dots; empty when the file is no TOML.")]
    message: str
    hint: str | None
    severity: Annotated[
        Literal["error", "warning", "info"],
        Field(description="error: the pipeline does not start; warning: something will not work as it stands."),
    ]


class ManifestProblems(BaseModel):
    """All problems, in the order of the file. `digest`: of the text that was looked at; null: there is no file."""

    items: list[ManifestProblem]
    digest: str | None


class ManifestText(BaseModel):
    """The file as it is on the disk. `digest`: pass it as `base_digest` of an edit."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": '[project]\nname = "flights"\n', "digest": "sha256:" + "0" * 64}]}
    )
    text: str
    digest: str


class ManifestCheck(BaseModel):
    """A text that an editor holds. `project`: also compare with that project's files and clusters."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"text": '[project]\nname = "flights"\n[stages.a]\n', "project": None}]},
    )
    text: Annotated[str, TEXT]
    project: Annotated[Annotated[str, visible(63)] | None, Field(description="A project's name.")] = None


class ManifestComplete(ManifestCheck):
    """A text and the cursor in it. The cursor is before the character at `column`."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"text": "[project]\nna", "line": 2, "column": 3, "project": None}]},
    )
    line: Annotated[int, Field(ge=1, le=1 << 20)]
    column: Annotated[int, Field(ge=1, le=1 << 20)]


class Candidate(BaseModel):
    """What may be written at the cursor."""

    label: str
    insert: Annotated[str, Field(description="Replaces the text from `start` to `end`.")]
    kind: Literal["table", "key", "value", "stage", "file", "cluster"]
    detail: Annotated[str, Field(description="One line: what it is, or its type.")]


class Completion(BaseModel):
    """Candidates, best first; they replace what stands between the two places (of one line)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {"label": "name", "insert": "name = ", "kind": "key", "detail": "The project's name."},
                    ],
                    "line": 2,
                    "column": 1,
                    "end_column": 3,
                }
            ]
        }
    )
    items: list[Candidate]
    line: int
    column: int
    end_column: int


class ManifestEdit(BaseModel):
    """One change.

    `set`: the key at `path` gets `value`, tables above it are made. `remove`: the key or table at `path` goes.
    `add_stage`: a new table [stages.NAME] at the end, `path` is ["stages", NAME] and `value` its keys.
    `rename_stage`: `path` is ["stages", NAME], `value` the new name; the `after` of others follow.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"op": "set", "path": ["stages", "train", "params", "seed"], "value": 11}]},
    )
    op: Literal["set", "remove", "add_stage", "rename_stage"]
    path: Annotated[list[Key], Field(min_length=1, max_length=16)]
    value: Annotated[Any, Field(description="JSON; null is nothing that TOML can say.")] = None


class ManifestPatch(BaseModel):
    """Changes that are made together, or not at all; comments and order stay."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "base_digest": "sha256:" + "0" * 64,
                    "edits": [{"op": "set", "path": ["stages", "train", "params", "seed"], "value": 11}],
                }
            ]
        },
    )
    base_digest: Digest
    edits: Annotated[list[ManifestEdit], Field(min_length=1, max_length=100)]
