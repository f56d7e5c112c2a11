"""Deployments: which model version answers at which endpoint, and who may ask it."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from himalia._digest import tree_digest

from ..service.auth import Principal
from ..service.context import Change, Context
from ..service.once import Once
from ..service.problems import Conflict, NotFound, Unavailable, nearest
from ..store import Deployment, DeploymentKey, Project, Revision, now
from ..tracking import Tracking
from .endpoints import config_of, revisions_of, view_of
from .gateway import GatewayProcess
from .keys import key_view, new_token, valid_keys
from .models import DeploymentView, EndpointExample, KeyCreated, KeyView, Prediction
from .trial import Trial

DAY = 86400.0


class Deployments:
    """The logic of the room. The gateway's config is made from the store after each change."""

    def __init__(self, context: Context, tracking: Tracking, layer: Path) -> None:
        self.context, self.tracking, self.layer = context, tracking, layer
        self.gateway = GatewayProcess(context, self._on_state)
        self.trial = Trial()
        self.freeze: Callable[[Principal, Project, str | None], str | None] = lambda *_: None
        """A snapshot of the modules of a pipeline's run (None: of the project as it is now), by digest."""
        self.paths_of: Callable[[str | None], list[Path]] = lambda _digest: []
        """Folders to import from, of such a snapshot."""
        self._lock = threading.Lock()
        self._behind = False

    def deploy(
        self, principal: Principal, project: Project, name: str, model: str, once: Once | None = None
    ) -> DeploymentView:
        """Put a model version behind the endpoint *name*, which is made when it is new.

        Raises:
            Conflict: another project has an endpoint of that name.
        """
        with self._lock:
            self._add(principal, project, name, model, once, requested=False)
            applied = self._apply()
        self.gateway.wait_applied(applied)
        return self.view(project, name)

    def request(
        self, principal: Principal, project: Project, name: str, model: str, once: Once | None = None
    ) -> DeploymentView:
        """Ask for a deployment: the version and its digest are fixed now; somebody who may deploy confirms it.

        Raises:
            Conflict: another project has an endpoint of that name.
        """
        with self._lock:
            self._add(principal, project, name, model, once, requested=True)
        return self.view(project, name)

    def confirm(self, principal: Principal, project: Project, name: str, version: str) -> DeploymentView:
        """Deploy what was asked for last, which has to be the *version* that the person saw.

        Raises:
            Conflict: nothing waits, or another version does.
        """
        with self._lock:
            with self.context.database.read() as session:
                row = self._row(session, project, name)
                waiting = [revision for revision in revisions_of(session, row) if revision.requested]
            if not waiting:
                raise Conflict(
                    f"Nothing waits for a confirmation at the endpoint {name!r}.",
                    hint="Somebody was faster: look at the version that it has now.",
                )
            newest = waiting[-1]
            if newest.model_version != version:
                raise Conflict(
                    f"At the endpoint {name!r} version {newest.model_version} waits by now, not {version}.",
                    hint="Look at it, then confirm that version if it is the one you want.",
                )
            with self.context.change(principal) as change:
                change.require_live(project)
                self._switch(change, project, self._row(change.session, project, name), newest.id)
            applied = self._apply()
        self.gateway.wait_applied(applied)
        return self.view(project, name)

    def _add(
        self,
        principal: Principal,
        project: Project,
        name: str,
        model: str,
        once: Once | None,
        *,
        requested: bool,
    ) -> None:
        """A new revision: with all traffic, or *requested*, without any until it is confirmed."""
        model_name, version = self.tracking.resolve(project, model)
        self._refuse_foreign(project, name)
        path, digest = self._fetch(project, model_name, version)
        sources = self.freeze(principal, project, self.tracking.pipeline_run(project, model_name, version))
        with self.context.change(principal) as change:
            change.require_live(project)
            change.made(once, name)
            row = change.session.scalar(select(Deployment).where(Deployment.name == name))
            if row is None:
                row = Deployment(project_id=project.id, name=name, state="requested", created_by=principal.user)
                change.session.add(row)
                change.session.flush()
            revision = Revision(
                deployment_id=row.id,
                number=max((old.number for old in revisions_of(change.session, row)), default=0) + 1,
                model_name=model_name,
                model_version=version,
                model_digest=digest,
                model_path=str(path),
                sources=sources,
                weight=0,
                requested=requested,
                created_by=principal.user,
            )
            change.session.add(revision)
            change.session.flush()
            if requested:
                change.audit("deployment.request", project, name, model=f"{model_name}/{version}", digest=digest)
                change.event("deployment.requested", name, {"model": model_name, "version": version}, project)
            else:
                self._switch(change, project, row, revision.id)

    def _switch(self, change: Change, project: Project, row: Deployment, revision_id: str) -> None:
        """Give all traffic to a revision; the gateway hears of it by `_apply`."""
        for revision in revisions_of(change.session, row):
            revision.weight = 100 if revision.id == revision_id else 0
            revision.requested = False
        chosen = change.session.get_one(Revision, revision_id)
        row.state, row.error = "starting", None
        model = f"{chosen.model_name}/{chosen.model_version}"
        change.audit("deployment.deploy", project, row.name, model=model, digest=chosen.model_digest)
        data = {"state": "starting", "model": chosen.model_name, "version": chosen.model_version}
        change.event("deployment.state", row.name, data, project)

    def resume(self) -> None:
        """After a start of the service: the gateway may have been adopted, or has to be started."""
        with self._lock:
            self._sweep_models()
            with self.context.database.read() as session:
                some = session.scalar(select(Deployment.id).limit(1)) is not None
            if some or self.gateway.alive():
                self._apply()

    def repair(self) -> None:
        """Hand the config over that could not be written, for example because the disk was full."""
        if self._behind:
            with self._lock:
                self._apply()

    def _sweep_models(self) -> None:
        """Remove models that were fetched for an endpoint that then was not made: the service was killed."""
        folder = self.context.site.home / "models"
        self._remove_unused([str(path) for path in folder.iterdir()] if folder.is_dir() else [])

    def of(self, project: Project) -> list[DeploymentView]:
        """Endpoints of a project, by name."""
        with self.context.database.read() as session:
            query = select(Deployment).where(Deployment.project_id == project.id).order_by(Deployment.name)
            return [self._view(session, project, row) for row in session.scalars(query)]

    def view(self, project: Project, name: str) -> DeploymentView:
        """One endpoint."""
        with self.context.database.read() as session:
            return self._view(session, project, self._row(session, project, name))

    def delete(self, principal: Principal | None, project: Project, name: str) -> None:
        """Take an endpoint down."""
        with self._lock:
            with self.context.change(principal) as change:
                row = self._row(change.session, project, name)
                paths = [revision.model_path for revision in revisions_of(change.session, row)]
                change.session.delete(row)
                change.audit("deployment.delete", project, name)
                change.event("deployment.state", name, {"state": "deleted"}, project)
            version = self._apply()
            self._remove_unused(paths)
        self.gateway.wait_applied(version)

    def pause(self, project: Project) -> None:
        """Serve a project's endpoints no longer; they and their keys are kept (it is archived, or in the trash)."""
        self._set_state(project, "stopped")

    def go_on(self, project: Project) -> None:
        """Serve a project's endpoints again, with the same keys."""
        self._set_state(project, "starting")

    def _set_state(self, project: Project, state: str) -> None:
        with self._lock:
            with self.context.change() as change:
                for row in change.session.scalars(select(Deployment).where(Deployment.project_id == project.id)):
                    if row.state not in (state, "requested") and (state == "stopped") != (row.state == "stopped"):
                        row.state, row.error = state, None
                        change.event("deployment.state", row.name, {"state": state}, project)
            version = self._apply()
        self.gateway.wait_applied(version)

    def end_all(self, project: Project) -> None:
        """Take all endpoints of a project down (it is being deleted)."""
        for view in self.of(project):
            self.delete(None, project, view.name)

    def keys(self, project: Project, name: str) -> list[KeyView]:
        """Valid tokens of an endpoint."""
        with self.context.database.read() as session:
            row = self._row(session, project, name)
            return [key_view(key) for key in valid_keys(session, row)]

    def create_key(
        self,
        principal: Principal,
        project: Project,
        name: str,
        label: str,
        days: float | None,
        once: Once | None = None,
    ) -> KeyCreated:
        """A new predict-only token; its text is returned this once and stored as a hash."""
        token, digest = new_token()
        with self._lock:
            with self.context.change(principal) as change:
                row = self._row(change.session, project, name)
                key = DeploymentKey(
                    deployment_id=row.id,
                    sha256=digest,
                    label=label,
                    created_by=principal.user,
                    created_at=now(),
                    expires_at=now() + days * DAY if days is not None else None,
                )
                change.session.add(key)
                change.session.flush()
                change.made(once, key.id)
                change.audit("deployment.token", project, name, label=label, key=key.id)
                change.event("deployment.token", name, {"label": label}, project)
            version = self._apply()
        self.gateway.wait_applied(version)
        return KeyCreated(**key_view(key).model_dump(), token=token)

    def revoke_key(self, principal: Principal, project: Project, name: str, key_id: str) -> None:
        """End a token now."""
        with self._lock:
            with self.context.change(principal) as change:
                row = self._row(change.session, project, name)
                key = change.session.get(DeploymentKey, key_id)
                if key is None or key.deployment_id != row.id or key.revoked_at is not None:
                    raise NotFound(
                        f"The endpoint {name!r} has no valid token {key_id!r}.",
                        hint="It was revoked or has expired: nothing is left to do.",
                    )
                key.revoked_at = now()
                change.audit("deployment.token.revoke", project, name, key=key_id)
                change.event("deployment.token", name, {"revoked": key_id}, project)
            version = self._apply()
        self.gateway.wait_applied(version)

    def example(self, project: Project, name: str) -> EndpointExample:
        """Signature and example of the model that answers now.

        Raises:
            Unavailable: the endpoint is not ready.
        """
        with self.context.database.read() as session:
            row = self._row(session, project, name)
        self._require_answering(row.name)
        return EndpointExample(**self.trial.ask(row.name, self.gateway.port))

    def predict(self, project: Project, name: str, document: dict[str, Any]) -> Prediction:
        """Ask the endpoint, as a customer would.

        Raises:
            Invalid: the document does not fit the signature. Unavailable: the endpoint is not ready.
        """
        with self.context.database.read() as session:
            row = self._row(session, project, name)
        self._require_answering(row.name)
        began = time.perf_counter()
        answer = self.trial.ask(row.name, self.gateway.port, document)
        took = (time.perf_counter() - began) * 1000
        return Prediction(predictions=answer.get("predictions"), milliseconds=round(took, 2))

    def _require_answering(self, name: str) -> None:
        """Refuse unless the gateway said, over its own socket, that it answers: a stranger may have got its port."""
        told = self.gateway.told_of(name)
        if self.gateway.state.get("config_error") or all(entry.get("state") != "ready" for entry in told.values()):
            raise Unavailable(f"The endpoint {name!r} is not ready.", hint="Its row says why; try again when it is.")

    def _apply(self) -> int:
        """Make the gateway serve what the store says; tried again later when that fails."""
        self._behind = True
        with self.context.database.read() as session:
            query = select(Deployment, Project).join(Project)
            awake = query.where(Project.archived_at.is_(None), Project.trashed_at.is_(None))
            rows = session.execute(awake).all()
            configs = [self._config(session, project, row) for row, project in rows]
        # what only waits for a confirmation has no revision to serve yet
        version = self.gateway.apply([config for config in configs if config["revisions"]])
        self._behind = False
        return version

    def _config(self, session: Session, project: Project, row: Deployment) -> dict[str, Any]:
        return config_of(session, project, row, self.trial.key, self.layer, self.paths_of)

    def _fetch(self, project: Project, model: str, version: str) -> tuple[Path, str]:
        """The model's files, by content: two endpoints on one version share them."""
        root = self.context.site.home / "models"
        draft = root / f".{secrets.token_hex(8)}"
        try:
            self.tracking.download(project, model, version, draft)
            digest = tree_digest(draft)
            target = root / digest.removeprefix("sha256:")
            if target.exists():
                shutil.rmtree(draft)
            else:
                draft.replace(target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return target, digest

    def _remove_unused(self, paths: list[str]) -> None:
        with self.context.database.read() as session:
            used = set(session.scalars(select(Revision.model_path)))
        for path in set(paths) - used:
            shutil.rmtree(path, ignore_errors=True)

    def _on_state(self, state: dict[str, Any]) -> None:
        """The gateway told its state (empty: it went away): record what changed for each endpoint."""
        told = state.get("deployments", {})
        with self.context.change() as change:
            for row in change.session.scalars(select(Deployment)):
                live = [revision for revision in revisions_of(change.session, row) if revision.weight]
                if not live or row.state == "stopped":
                    continue
                states = told.get(row.name, {}).get("revisions", {})
                now_state = states.get(live[0].id, {})
                fresh = (
                    now_state.get("state") or "starting",
                    now_state.get("error") or state.get("config_error"),
                )
                if fresh == (row.state, row.error):
                    continue
                row.state, row.error = fresh
                project = change.session.get_one(Project, row.project_id)
                change.event("deployment.state", row.name, {"state": fresh[0], "error": fresh[1]}, project)

    def _view(self, session: Session, project: Project, row: Deployment) -> DeploymentView:
        return view_of(session, project, row, self.gateway)

    def _refuse_foreign(self, project: Project, name: str) -> None:
        with self.context.database.read() as session:
            row = session.scalar(select(Deployment).where(Deployment.name == name))
        if row is not None and row.project_id != project.id:
            raise Conflict(
                f"The endpoint name {name!r} is taken at this site.",
                hint=f"Choose another, for example {project.slug[:30]}-{name[:32]}.",
                field="name",
            )

    @staticmethod
    def _row(session: Session, project: Project, name: str) -> Deployment:
        query = select(Deployment).where(Deployment.project_id == project.id)
        known = {row.name: row for row in session.scalars(query)}
        if name not in known:
            raise NotFound(f"{project.slug} has no endpoint {name!r}.", hint=nearest(name, known))
        return known[name]
