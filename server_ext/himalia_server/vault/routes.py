"""REST of the room. No route tells a value."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from ..service.auth import Caller, authorize, authorize_site
from ..service.inputs import Form, Slug
from ..service.replies import errors
from .manager import Vault
from .models import Rotation, SecretChanged, SecretList, SecretSet

router = APIRouter(tags=["secrets"])
of_project = errors(403, 404, 409)
Name = Annotated[str, Form(r"[^\x00-\x1f\x7f/]{1,200}", "1 to 200 characters, none of them a control character")]


def _manager(request: Request) -> Vault:
    return request.app.state.vault  # type: ignore[no-any-return]


Manager = Annotated[Vault, Depends(_manager)]


@router.get("/projects/{slug}/secrets", responses=of_project)
def list_secrets(slug: Slug, caller: Caller, manager: Manager) -> SecretList:
    """Names of the project's secrets, and who set them when."""
    project = authorize(manager.context, caller, slug, "secret.list")
    return SecretList(items=manager.of(project))


@router.put("/projects/{slug}/secrets/{name}", responses=of_project)
def put_secret(slug: Slug, name: Name, body: SecretSet, caller: Caller, manager: Manager) -> SecretChanged:
    """Set or replace a secret: an environment variable of the project's kernels and stages from their next start."""
    project = authorize(manager.context, caller, slug, "secret.write", name, persons_only=True)
    return manager.set(caller, project, name, body.value)


@router.delete("/projects/{slug}/secrets/{name}", status_code=204, responses=of_project)
def delete_secret(slug: Slug, name: Name, caller: Caller, manager: Manager) -> Response:
    """Forget a secret. Kernels that run keep it until they end."""
    project = authorize(manager.context, caller, slug, "secret.write", name, persons_only=True)
    manager.delete(caller, project, name)
    return Response(status_code=204)


@router.post("/secrets/rotate-key", responses=errors(403))
def rotate_key(caller: Caller, manager: Manager) -> Rotation:
    """Encrypt all secrets of the site with a new key and forget the old one. Repeating it does no harm."""
    authorize_site(manager.context, caller, "site.manage")
    return manager.rotate(caller)
