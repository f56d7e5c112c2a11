"""REST of the room."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from ..service.auth import Caller, authorize, role_in
from ..service.inputs import Known, Slug
from ..service.once import OnceKey, make_once
from ..service.paging import Cursor, Limit, NameCursor, page_of
from ..service.problems import Conflict
from ..service.replies import errors
from ..team import may
from .manager import Deployments
from .models import (
    DeploymentConfirm,
    DeploymentCreate,
    DeploymentList,
    DeploymentView,
    EndpointExample,
    KeyCreate,
    KeyCreated,
    KeyList,
    Prediction,
)

router = APIRouter(prefix="/projects/{slug}/deployments", tags=["deployments"], responses=errors(403, 404, 409))


def _manager(request: Request) -> Deployments:
    return request.app.state.deployments  # type: ignore[no-any-return]


Manager = Annotated[Deployments, Depends(_manager)]


@router.get("")
def list_deployments(
    slug: Slug, caller: Caller, manager: Manager, cursor: NameCursor = None, limit: Limit = 200
) -> DeploymentList:
    """Endpoints of the project, by name."""
    endpoints = manager.of(authorize(manager.context, caller, slug, "deployment.read"))
    items, following = page_of(endpoints, lambda endpoint: endpoint.name, cursor, limit)
    return DeploymentList(items=items, next=following)


@router.post("", status_code=201)
def deploy(slug: Slug, body: DeploymentCreate, caller: Caller, manager: Manager, once: OnceKey) -> DeploymentView:
    """Deploy a model version; the endpoint is `starting` until its first replica has answered a golden request.

    From somebody who may not deploy (code in a kernel, a contributor) it is a request, `requested_version`, that
    waits for a confirmation.
    """
    project = authorize(manager.context, caller, slug, "deployment.request", body.name)
    with manager.context.database.read() as session:
        role = role_in(session, caller, project)
    act = manager.deploy if role is not None and may(role, "deployment.write") else manager.request
    return make_once(
        once,
        manager.context,
        lambda: act(caller, project, body.name, body.model, once),
        lambda name: manager.view(project, name),
    )


@router.post("/{name}/confirm")
def confirm_deployment(
    slug: Slug, name: Known, body: DeploymentConfirm, caller: Caller, manager: Manager
) -> DeploymentView:
    """Deploy what was requested; 409 when something else was requested meanwhile."""
    project = authorize(manager.context, caller, slug, "deployment.write", name, persons_only=True)
    return manager.confirm(caller, project, name, body.version)


@router.get("/{name}")
def read_deployment(slug: Slug, name: Known, caller: Caller, manager: Manager) -> DeploymentView:
    """One endpoint."""
    return manager.view(authorize(manager.context, caller, slug, "deployment.read", name), name)


@router.get("/{name}/example")
def endpoint_example(slug: Slug, name: Known, caller: Caller, manager: Manager) -> EndpointExample:
    """Signature and example of the model that answers now."""
    return manager.example(authorize(manager.context, caller, slug, "deployment.read", name), name)


@router.post("/{name}/predict")
def predict(slug: Slug, name: Known, body: dict[str, Any], caller: Caller, manager: Manager) -> Prediction:
    """Ask the endpoint, with a document as MLflow's /invocations takes it; for trying it out.

    Customers ask the endpoint's own address, with a token of it.
    """
    return manager.predict(authorize(manager.context, caller, slug, "deployment.predict", name), name, body)


@router.delete("/{name}", status_code=204)
def delete_deployment(slug: Slug, name: Known, caller: Caller, manager: Manager) -> Response:
    """Take an endpoint down; its tokens end."""
    manager.delete(caller, authorize(manager.context, caller, slug, "deployment.write", name), name)
    return Response(status_code=204)


@router.get("/{name}/tokens")
def list_tokens(
    slug: Slug, name: Known, caller: Caller, manager: Manager, cursor: Cursor = None, limit: Limit = 200
) -> KeyList:
    """Valid tokens of the endpoint, without their texts, oldest first."""
    project = authorize(manager.context, caller, slug, "deployment.token", name)
    items, following = page_of(manager.keys(project, name), lambda key: key.id, cursor, limit)
    return KeyList(items=items, next=following)


@router.post("/{name}/tokens", status_code=201)
def create_token(
    slug: Slug, name: Known, body: KeyCreate, caller: Caller, manager: Manager, once: OnceKey
) -> KeyCreated:
    """A predict-only token for this endpoint; its text is shown this once, and not again for a repeated request."""
    project = authorize(manager.context, caller, slug, "deployment.token", name)

    def refuse(key_id: str) -> KeyCreated:
        raise Conflict(
            f"This request was answered before, and the text of a token is told only once: token {key_id}.",
            hint="Revoke that token if its text was lost, and make another one.",
        )

    return make_once(
        once,
        manager.context,
        lambda: manager.create_key(caller, project, name, body.label, body.days, once),
        refuse,
    )


@router.delete("/{name}/tokens/{key_id}", status_code=204)
def revoke_token(slug: Slug, name: Known, key_id: Known, caller: Caller, manager: Manager) -> Response:
    """End a token."""
    manager.revoke_key(caller, authorize(manager.context, caller, slug, "deployment.token", name), name, key_id)
    return Response(status_code=204)
