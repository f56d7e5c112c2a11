"""Clusters of projects: started under a holder each, watched, scaled, stopped."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from ..service.auth import Principal
from ..service.children import ChildSpec
from ..service.context import Context
from ..service.environment import child_environment
from ..service.logs import last_line
from ..service.once import Once
from ..service.problems import Conflict, Invalid, NotFound, Unavailable, nearest
from ..service.site import private_folder, write_private
from ..store import Cluster, Project
from .control import ClusterControl, ControlError, HolderUnreachableError
from .models import ClusterConnection, ClusterCreate, ClusterView
from .spec import SpecError, check_memory_limit
from .state import ClusterState

log = logging.getLogger(__name__)
FINAL = (2, 4)
"""Exit codes of a holder that would end so again: the specification, or its folders, cannot be used."""
MAX_MEMORY = 1 << 50
"""Bytes."""
PROFILES: dict[str, dict[str, Any]] = {"local": {"backend": "local"}}


class Clusters:
    """The logic of the room. One thread a cluster follows its holder's state; nothing polls."""

    def __init__(self, context: Context, layer: Path) -> None:
        self.context, self.layer = context, layer
        self._states: dict[str, ClusterState] = {}
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._followers: dict[str, threading.Thread] = {}
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
        """Start holders that are missing, for example because the disk was full when they were to be started."""
        with self.context.database.read() as session:
            rows = session.execute(select(Cluster, Project).join(Project, Cluster.project_id == Project.id)).all()
        for cluster, project in rows:
            thread = self._followers.get(cluster.id)
            child = self.context.children.get(_child(cluster))
            hopeless = cluster.state == "failed" and child is not None and child.ended.is_set()
            if not hopeless and (child is None or thread is None or not thread.is_alive()):
                with self._changing(project):
                    self._resume(cluster, project)

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
            elif self.context.children.alive(_child(row)):
                self._follow(row, project)
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

    def exists(self, project: Project, name: str) -> bool:
        """Whether the project has a cluster of that name."""
        return any(cluster.name == name for cluster in self.of(project))

    def connection(self, project: Project, name: str) -> ClusterConnection:
        """Address and certificates.

        Raises:
            Unavailable: it has not started yet.
        """
        cluster = self._row(project, name)
        state = self._state(cluster)
        if state is None or state.address is None or state.state != "running":
            raise Unavailable(f"The cluster {name!r} is starting.", hint="Try again in a few seconds.")
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
            Unavailable: it has not started yet.
        """
        state = self._state(self._row(project, name))
        if state is None or state.dashboard is None:
            raise Unavailable(f"The cluster {name!r} is starting.", hint="Try again in a few seconds.")
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
            raise Unavailable(f"The cluster {name!r} is starting.", hint="Try again in a few seconds.") from error
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
        self.context.children.stop(_child(cluster))
        self.context.children.forget(_child(cluster))
        with self._lock:
            self._states.pop(cluster.id, None)
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
                name=_child(cluster),
                argv=[sys.executable, "-m", "himalia_server.clusters.holder", "--spec", str(spec)],
                env=child_environment(),
                cwd=str(self._folder(cluster)),
                keep=True,
                grace=20.0,
                sockets=[str(self._socket(cluster))],
                final=list(FINAL),
            )
        )
        self._follow(cluster, project)

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

    def _follow(self, cluster: Cluster, project: Project) -> None:
        old = self._followers.get(cluster.id)
        if old is not None and old.is_alive():
            return
        name = f"cluster-{cluster.id}"
        thread = threading.Thread(target=self._watch, args=(cluster, project), name=name, daemon=True)
        self._followers[cluster.id] = thread
        thread.start()

    def _watch(self, cluster: Cluster, project: Project) -> None:
        """Take over each state that the holder tells; when the holder is new, connect again."""
        child = _child(cluster)
        while (process := self.context.children.get(child)) is not None:
            try:
                with suppress(ControlError):
                    for state in ClusterControl(self._socket(cluster)).watch():
                        self._record(cluster, project, state)
                if process.ended.is_set() and not process.spec.keep:
                    return
                if process.exit is not None and process.exit.code in FINAL:
                    self._failed(cluster, project)
                    return
                self._lost(cluster, project)
            except (DBAPIError, Unavailable):
                # the store takes nothing now: the state is recorded with the next connection
                log.exception("a cluster's state could not be recorded", extra={"cluster": cluster.name})
                with self._lock:
                    self._states.pop(cluster.id, None)
                self.context.stopping.wait(1.0)
            # the holder needs a moment to start and to listen
            if self.context.stopping.wait(0.1):
                return

    def _record(self, cluster: Cluster, project: Project, state: ClusterState) -> None:
        with self._lock:
            before = self._states.get(cluster.id)
            self._states[cluster.id] = state
        told = (state.state, state.running, state.wanted, state.error)
        if before is not None and told == (before.state, before.running, before.wanted, before.error):
            return
        with self.context.change() as change:
            row = change.session.get(Cluster, cluster.id)
            if row is None or row.state == "closing":
                return
            # a holder that closes although nobody stopped the cluster is started again
            shown = "starting" if state.state == "closing" else state.state
            row.state, row.error = shown, state.error
            data = {
                "state": shown,
                "workers": state.running,
                "wanted": state.wanted,
                "error": state.error,
            }
            change.event("cluster.state", cluster.name, data, project)

    def _failed(self, cluster: Cluster, project: Project) -> None:
        """The holder has said that it cannot hold this cluster, however often it is started."""
        why = last_line(self.context.site.log(_child(cluster))) or "its holder cannot use it; see himalia logs"
        with self._lock:
            self._states.pop(cluster.id, None)
        with self.context.change() as change:
            row = change.session.get(Cluster, cluster.id)
            if row is not None and row.state != "closing":
                row.state, row.error = "failed", why
                data = {"state": "failed", "workers": 0, "error": why}
                change.event("cluster.state", cluster.name, data, project)

    def _lost(self, cluster: Cluster, project: Project) -> None:
        with self._lock:
            known = self._states.pop(cluster.id, None)
        if known is None:
            return
        with self.context.change() as change:
            row = change.session.get(Cluster, cluster.id)
            if row is None or row.state == "closing":
                return
            row.state, row.error = "starting", "its holder ended and is being started again; see himalia logs"
            data = {"state": "starting", "workers": 0, "error": row.error}
            change.event("cluster.state", cluster.name, data, project)

    def _state(self, cluster: Cluster) -> ClusterState | None:
        with self._lock:
            return self._states.get(cluster.id)

    def _view(self, cluster: Cluster) -> ClusterView:
        state = self._state(cluster)
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
        return self.context.site.runtime / f"c{cluster.id[-10:]}" / "control.sock"


def _child(cluster: Cluster) -> str:
    return f"cluster-{cluster.id}"


def _fair_share(workers: int) -> str:
    """Memory of one worker when nothing is said: half the machine, divided."""
    return f"{max(512, int(psutil.virtual_memory().total / 2 / workers) >> 20)}MiB"
