"""What the store knows of an endpoint, put together: for who looks at it, and for the gateway that serves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..store import Deployment, Project, Revision
from .gateway import GatewayProcess
from .keys import valid_keys
from .models import DeploymentView, RevisionView


def revisions_of(session: Session, row: Deployment) -> list[Revision]:
    """The endpoint's revisions, oldest first."""
    query = select(Revision).where(Revision.deployment_id == row.id).order_by(Revision.number)
    return list(session.scalars(query))


def view_of(session: Session, project: Project, row: Deployment, gateway: GatewayProcess) -> DeploymentView:
    """The endpoint as the store has it, with what the gateway tells of its revisions just now."""
    told = gateway.told_of(row.name)
    revisions = revisions_of(session, row)
    live = next((revision for revision in revisions if revision.weight), revisions[-1])
    waiting = [revision.model_version for revision in revisions if revision.requested]
    return DeploymentView(
        name=row.name,
        project=project.slug,
        state=row.state,
        error=row.error or (gateway.explain() if live.weight else None),
        model_name=live.model_name,
        model_version=live.model_version,
        requested_version=waiting[-1] if waiting else None,
        # before its first endpoint the gateway has no port
        url=f"{gateway.url}/endpoints/{row.name}/invocations" if gateway.port else None,
        signature=told.get(live.id, {}).get("signature"),
        revisions=[_revision_view(revision, told.get(revision.id, {})) for revision in revisions],
        created_by=row.created_by,
        created_at=row.created_at,
    )


def _revision_view(revision: Revision, told: dict[str, Any]) -> RevisionView:
    return RevisionView(
        id=revision.id,
        number=revision.number,
        model_name=revision.model_name,
        model_version=revision.model_version,
        model_digest=revision.model_digest,
        weight=revision.weight,
        state=told.get("state", _idle_state(revision)),
        error=told.get("error"),
        restarts=told.get("restarts", 0),
    )


def _idle_state(revision: Revision) -> str:
    """The state of a revision of which the gateway says nothing."""
    if revision.requested:
        return "requested"
    return "starting" if revision.weight else "retired"


def config_of(
    session: Session,
    project: Project,
    row: Deployment,
    trial_key: dict[str, Any],
    layer: Path,
    paths_of: Callable[[str | None], list[Path]],
) -> dict[str, Any]:
    """The endpoint in the gateway's config; its `revisions` are empty while it only waits for a confirmation.

    *paths_of*: the folders of a revision's `sources`.
    """
    keys = [{"id": key.id, "sha256": key.sha256, "expires_at": key.expires_at} for key in valid_keys(session, row)]
    return {
        "name": row.name,
        "project": project.slug,
        "keys": [trial_key, *keys],
        "revisions": [
            {
                "id": revision.id,
                "weight": revision.weight,
                "model_path": revision.model_path,
                "model_digest": revision.model_digest,
                "python": project.python,
                "layer": str(layer),
                "env": {},
                "paths": [str(path) for path in paths_of(revision.sources)],
                "replicas": {"min": 1, "max": 1},
            }
            for revision in revisions_of(session, row)
            if revision.weight
        ],
    }
