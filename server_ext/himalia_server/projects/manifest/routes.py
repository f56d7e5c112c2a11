"""REST of himalia.toml: read, check, complete, edit."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from ...service.auth import Caller, Principal, authorize
from ...service.inputs import Slug
from ...service.replies import errors
from ...store import Project
from .manifests import Manifests
from .models import Completion, ManifestCheck, ManifestComplete, ManifestPatch, ManifestProblems, ManifestText
from .schema import manifest_schema

router = APIRouter(tags=["projects"])
of_project = errors(403, 404, 409)


def _manifests(request: Request) -> Manifests:
    return request.app.state.projects.manifests  # type: ignore[no-any-return]


Manager = Annotated[Manifests, Depends(_manifests)]
"""What the routes are given."""


@router.get("/manifest/schema")
def read_manifest_schema(caller: Caller) -> dict[str, Any]:
    """The JSON schema of himalia.toml."""
    return manifest_schema()


@router.post("/manifest/check", responses=errors(403, 404))
def check_manifest(body: ManifestCheck, caller: Caller, manager: Manager) -> ManifestProblems:
    """All problems of a text that an editor holds, for its linter. Nothing is written."""
    items = manager.check(body.text, _of(manager, caller, body.project))
    return ManifestProblems(items=items, digest=None)


@router.post("/manifest/complete", responses=errors(403, 404))
def complete_manifest(body: ManifestComplete, caller: Caller, manager: Manager) -> Completion:
    """What may be written at the cursor: keys of the table, values, stages, files and clusters of the project."""
    return manager.complete(body.text, body.line, body.column, _of(manager, caller, body.project))


def _of(manager: Manifests, caller: Principal, slug: str | None) -> Project | None:
    return None if slug is None else authorize(manager.context, caller, slug, "project.read")


@router.get("/projects/{slug}/problems", responses=of_project)
def list_problems(slug: Slug, caller: Caller, manager: Manager) -> ManifestProblems:
    """All that is wrong with the manifest, and between it and the project's files and clusters."""
    return manager.problems(caller, authorize(manager.context, caller, slug, "project.read"))


@router.get("/projects/{slug}/manifest", responses=of_project)
def read_manifest(slug: Slug, caller: Caller, manager: Manager) -> ManifestText:
    """The text of himalia.toml, and its digest."""
    return manager.text(authorize(manager.context, caller, slug, "project.read"))


@router.patch("/projects/{slug}/manifest", responses=of_project)
def edit_manifest(slug: Slug, body: ManifestPatch, caller: Caller, manager: Manager) -> ManifestText:
    """Change himalia.toml: all edits or none; its comments and order stay. 409 when it is no longer `base_digest`."""
    project = authorize(manager.context, caller, slug, "project.edit")
    return manager.edit(caller, project, body)
