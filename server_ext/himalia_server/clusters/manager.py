"""Clusters of projects: started under a holder each, watched, scaled, stopped."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select

from ..service.auth import Principal
from ..service.children import ChildSpec
from ..service.context import Context
from ..service.environment import child_environment
from ..service.once import Once
from ..service.problems import Conflict, Invalid, NotFound, Unavailable, nearest
from ..service.site import private_folder, write_private
from ..store import Cluster, Project
from .control import ClusterControl, ControlError, HolderUnreachableError
from .followers import FINAL, Followers, child_name, control_socket
from .models import ClusterConnection, ClusterCreate, ClusterView
from .spec import SpecError, check_memory_limit
from .state import ClusterState

log = logging.getLogger(__name__)
MAX_MEMORY = 1 << 50
"""Bytes."""
PROFILES: dict[str, dict[str, Any]] = {"local": {"backend": "local"}}


class Clusters:
    """The logic of the room."""

    def __init__(self, context: Context, layer: Path) -> None:
        self.context, self.layer = context, layer
        self.followers = Followers(context)
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        context.first_cluster = self.first

    def start(
        self, principal: Principal, project: Project, wanted: ClusterCreate, once: Once | None = None
    ) -> ClusterView:
        """Start a cluster.

        Raises:
            Conflict: the project has one of that name. Invalid: there is no such profile.
        """
        if wanted.profile not in PROFILES:
            raise Invalid(
                f"There is no profile {wanted.profile!r}.",
                hint=nearest(wanted.profile, PROFILES),
                field="profile",
            )
        with self._changing(project):
            return self._start(principal, project, wanted, once)

    def _start(self, principal: Principal, project: Project, wanted: ClusterCreate, once: Once | None) -> ClusterView:
        workers = wanted.workers or max(1, os.cpu_count() or 1)
        limit = wanted.memory_limit or _fair_share(workers)
        try:
            too_large = check_memory_limit(limit) > MAX_MEMORY
        except (SpecError, OverflowError) as error:
            raise Invalid(
                f"memory_limit {limit!r} cannot be: {error}", hint='Write for example "2GiB".', field="memory_limit"
            ) from error
        if too_large:
            raise Invalid(
                f"memory_limit {limit!r} is more than any machine has.",
                hint='It is what one worker may use, for example "2GiB".',
                field="memory_limit",
            )
        with self.context.change(principal) as change:
            change.require_live(project)
            change.made(once, wanted.name)
            query = select(Cluster).where(Cluster.project_id == project.id, Cluster.name == wanted.name)
            old = change.session.scalar(query)
            if old is not None:
                raise Conflict(
                    f"{project.slug} has a cluster {wanted.name!r} already ({old.state}).",
                    hint=f"himalia cluster scale {wanted.name} N, or himalia cluster stop {wanted.name}",
                    field="name",
                )
            cluster = Cluster(
                project_id=project.id,
                name=wanted.name,
                profile=wanted.profile,
                workers=workers,
                threads_per_worker=wanted.threads_per_worker,
                memory_limit=limit,
                state="starting",
                created_by=principal.user,
            )
            change.session.add(cluster)
            change.session.flush()
            change.audit("cluster.start", project, wanted.name, workers=workers)
            change.event("cluster.state", wanted.name, {"state": "starting", "workers": 0}, project)
        try:
            self._launch(cluster, project)
        except (OSError, RuntimeError):
            self._forget(principal, project, cluster)  # nothing was started, so that nothing is to be waited for
            raise
        return self.view(project, wanted.name)

    def repair(self) -> None:
        """Start holders that are missing, for example because the disk was full when they were to be started, and
        those that hang."""
        with self.context.database.read() as session:
            rows = session.execute(select(Cluster, Project).join(Project, Cluster.project_id == Project.id)).all()
        for cluster, project in rows:
            child = self.context.children.get(child_name(cluster))
            hopeless = cluster.state == "failed" and child is not None and child.ended.is_set()
            if not hopeless and (child is None or not self.followers.follows(cluster)):
                with self._changing(project):
                    self._resume(cluster, project)
            elif child is not None and not child.ended.is_set() and self.followers.hangs(cluster):
                log.warning("a holder lives but does not answer; it is started again", extra={"cluster": cluster.name})
                self.context.children.restart(child_name(cluster))

    def resume(self) -> None:
        """After a start of the service: follow adopted holders, start the missing ones again."""
        with self.context.database.read() as session:
            rows = session.execute(select(Cluster, Project).join(Project, Cluster.project_id == Project.id)).all()
        for cluster, project in rows:
            with self._changing(project):
                self._resume(cluster, project)

    def _resume(self, cluster: Cluster, project: Project) -> None:
        with self.context.database.read() as session:
            row = session.get(Cluster, cluster.id)
        if row is None:
            return  # stopped meanwhile
        try:
            if row.state == "closing":
                self._stop(None, project, row.name)
            elif self.context.children.alive(child_name(row)):
                self.followers.follow(row, project)
            else:
                self._launch(row, project)
        except (OSError, RuntimeError):
            log.exception("a cluster could not be resumed; it is tried again", extra={"cluster": row.name})

    def of(self, project: Project) -> list[ClusterView]:
        """Clusters of a project, by name."""
        with self.context.database.read() as session:
            query = select(Cluster).where(Cluster.project_id == project.id).order_by(Cluster.name)
            return [self._view(cluster) for cluster in session.scalars(query)]

    def view(self, project: Project, name: str) -> ClusterView:
        """One cluster.

        Raises:
            NotFound: the project has none of that name.
        """
        return self._view(self._row(project, name))

    def first(self, project: Project) -> str | None:
        """The cluster that a kernel of the project uses unless told otherwise: the one started first."""
        with self.context.database.read() as session:
            query = select(Cluster.name).where(Cluster.project_id == project.id).order_by(Cluster.created_at)
            return session.scalar(query.limit(1))

    def fault(self, project: Project, name: str) -> str | None:
        """Why a cluster of the project cannot be worked on, without a full stop; None: it can, perhaps in a moment."""
        found = next((cluster for cluster in self.of(project) if cluster.name == name), None)
        if found is None or found.state == "closing":
            return "does not run"
        if found.state == "failed":
            return f"has failed: {(found.error or 'its log says why').rstrip('.')}"
        return "has no worker" if found.wanted == 0 else None

    def connection(self, project: Project, name: str) -> ClusterConnection:
        """Address and certificates.

        Raises:
            Unavailable: it has not started yet, or has failed.
        """
        cluster = self._row(project, name)
        state = self.followers.state(cluster)
        if state is None or state.address is None or state.state != "running":
            raise _not_running(cluster, state)
        return ClusterConnection(
            name=name,
            address=state.address,
            ca_pem=Path(state.client.ca).read_text(),
            cert_pem=Path(state.client.cert).read_text(),
            key_pem=Path(state.client.key).read_text(),
            workers=state.running,
            threads=state.threads,
        )

    def dashboard(self, project: Project, name: str) -> str:
        """The unix socket of a cluster's dashboard.

        Raises:
            Unavailable: it has not started yet, or has failed.
        """
        cluster = self._row(project, name)
        state = self.followers.state(cluster)
        if state is None or state.dashboard is None:
            raise _not_running(cluster, state)
        return state.dashboard

    def scale(self, principal: Principal, project: Project, name: str, workers: int) -> ClusterView:
        """Change the number of workers; they come and go in the background."""
        with self._changing(project):
            return self._scale(principal, project, name, workers)

    def _scale(self, principal: Principal, project: Project, name: str, workers: int) -> ClusterView:
        cluster = self._row(project, name)
        try:
            ClusterControl(self._socket(cluster)).scale(workers)
        except HolderUnreachableError as error:
            raise _not_running(cluster, None) from error
        except ControlError as error:
            raise Conflict(
                f"The cluster {name!r} cannot be scaled: {error}.",
                hint=f"himalia logs shows why; or stop it and start it anew: himalia cluster stop {name}",
            ) from error
        with self.context.change(principal) as change:
            change.session.get_one(Cluster, cluster.id).workers = workers
            change.audit("cluster.scale", project, name, workers=workers)
            change.event("cluster.scaled", name, {"workers": workers}, project)
        # what a restarted holder is to begin with
        self._write_spec(cluster, project, workers)
        return self.view(project, name)

    def stop(self, principal: Principal | None, project: Project, name: str) -> None:
        """End a cluster and forget it."""
        with self._changing(project):
            self._stop(principal, project, name)

    def _stop(self, principal: Principal | None, project: Project, name: str) -> None:
        cluster = self._row(project, name)
        with self.context.change() as change:
            # told first: what ends now is not a holder that has died
            change.session.get_one(Cluster, cluster.id).state = "closing"
            change.event("cluster.state", name, {"state": "closing", "workers": 0}, project)
        self._forget(principal, project, cluster)

    def _forget(self, principal: Principal | None, project: Project, cluster: Cluster) -> None:
        name = cluster.name
        self.context.children.stop(child_name(cluster))
        self.context.children.forget(child_name(cluster))
        self.followers.forget(cluster)
        shutil.rmtree(self._folder(cluster), ignore_errors=True)
        shutil.rmtree(self._socket(cluster).parent, ignore_errors=True)
        with self.context.change(principal) as change:
            row = change.session.get(Cluster, cluster.id)
            if row is not None:
                change.session.delete(row)
            change.audit("cluster.stop", project, name)
            change.event("cluster.state", name, {"state": "stopped", "workers": 0}, project)

    def end_all(self, project: Project) -> None:
        """Stop all clusters of a project (it is being deleted)."""
        for cluster in self.of(project):
            self.stop(None, project, cluster.name)

    def _changing(self, project: Project) -> threading.Lock:
        """Held while a cluster of the project is started, scaled or stopped, so that these never overlap."""
        with self._lock:
            return self._locks.setdefault(project.id, threading.Lock())

    def _launch(self, cluster: Cluster, project: Project) -> None:
        spec = self._write_spec(cluster, project, cluster.workers)
        self.context.children.ensure(
            ChildSpec(
                name=child_name(cluster),
                argv=[sys.executable, "-m", "himalia_server.clusters.holder", "--spec", str(spec)],
                env=child_environment(),
                cwd=str(self._folder(cluster)),
                keep=True,
                grace=20.0,
                sockets=[str(self._socket(cluster))],
                final=list(FINAL),
            )
        )
        self.followers.follow(cluster, project)

    def _write_spec(self, cluster: Cluster, project: Project, workers: int) -> Path:
        folder, socket = private_folder(self._folder(cluster)), self._socket(cluster)
        private_folder(socket.parent)
        spec = folder / "spec.json"
        document = {
            "name": cluster.name,
            "project": project.slug,
            "profile": PROFILES[cluster.profile],
            "python": project.python,
            "layer": str(self.layer),
            "folder": str(folder),
            "socket": str(socket),
            "workers": workers,
            "threads_per_worker": cluster.threads_per_worker,
            "memory_limit": cluster.memory_limit,
        }
        write_private(spec, json.dumps(document))
        return spec

    def _view(self, cluster: Cluster) -> ClusterView:
        state = self.followers.state(cluster)
        return ClusterView(
            name=cluster.name,
            profile=cluster.profile,
            state=state.state if state and "closing" not in (cluster.state, state.state) else cluster.state,
            workers=state.running if state else 0,
            wanted=state.wanted if state else cluster.workers,
            threads=state.threads if state else 0,
            memory_bytes=state.memory_bytes if state else 0,
            address=state.address if state else None,
            error=state.error if state else cluster.error,
            created_by=cluster.created_by,
            created_at=cluster.created_at,
        )

    def _row(self, project: Project, name: str) -> Cluster:
        with self.context.database.read() as session:
            query = select(Cluster).where(Cluster.project_id == project.id)
            clusters = {cluster.name: cluster for cluster in session.scalars(query)}
        if name not in clusters:
            raise NotFound(f"{project.slug} has no cluster {name!r}.", hint=nearest(name, clusters))
        return clusters[name]

    def _folder(self, cluster: Cluster) -> Path:
        return self.context.site.home / "clusters" / cluster.id

    def _socket(self, cluster: Cluster) -> Path:
        return control_socket(self.context.site, cluster)


def _not_running(cluster: Cluster, state: ClusterState | None) -> Unavailable:
    """Why nobody can connect to a cluster now."""
    if (state or cluster).state == "failed":
        return Unavailable(
            f"The cluster {cluster.name!r} has failed: {(state or cluster).error or 'its log says why'}.",
            hint=f"himalia logs {child_name(cluster)} says more; stop the cluster and start it anew.",
        )
    return Unavailable(f"The cluster {cluster.name!r} is starting.", hint="Try again in a few seconds.")


def _fair_share(workers: int) -> str:
    """Memory of one worker when nothing is said: half the machine, divided."""
    return f"{max(512, int(psutil.virtual_memory().total / 2 / workers) >> 20)}MiB"
