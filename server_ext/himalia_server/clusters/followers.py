"""Follows the holders of clusters: what each tells of itself goes into the store and to whoever listens."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from ..service.context import Context
from ..service.logs import last_line
from ..service.problems import Unavailable
from ..service.site import Site
from ..store import Cluster, Project
from .control import ClusterControl, ControlError, ControlTimeoutError
from .state import ClusterState

log = logging.getLogger(__name__)
ANSWER_SECONDS, HANGING_SECONDS = 5.0, 120.0
"""A holder does nothing that takes long: one that answers nothing for the latter hangs."""
FINAL = (2, 4)
"""Exit codes of a holder that would end so again: the specification, or its folders, cannot be used."""


def child_name(cluster: Cluster) -> str:
    """The name of a cluster's holder among the children of the service."""
    return f"cluster-{cluster.id}"


def control_socket(site: Site, cluster: Cluster) -> Path:
    """Where a cluster's holder listens."""
    return site.runtime / f"c{cluster.id[-10:]}" / "control.sock"


class Followers:
    """The last known state of each cluster. One thread a cluster reads what its holder tells; nothing polls."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._states: dict[str, ClusterState] = {}
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._silent_since: dict[str, float] = {}

    def state(self, cluster: Cluster) -> ClusterState | None:
        """What the cluster's holder told last; None while there is none to ask."""
        with self._lock:
            return self._states.get(cluster.id)

    def forget(self, cluster: Cluster) -> bool:
        """What was told is no longer so; false when nothing was."""
        with self._lock:
            return self._states.pop(cluster.id, None) is not None

    def follows(self, cluster: Cluster) -> bool:
        """Whether a thread follows the cluster's holder."""
        thread = self._threads.get(cluster.id)
        return thread is not None and thread.is_alive()

    def hangs(self, cluster: Cluster) -> bool:
        """Whether the cluster's holder lives, but has answered no question for long; asked from time to time."""
        try:
            ClusterControl(control_socket(self.context.site, cluster), ANSWER_SECONDS).state()
        except ControlTimeoutError:
            since = self._silent_since.setdefault(cluster.id, time.monotonic())
            if time.monotonic() - since < HANGING_SECONDS:
                return False
            del self._silent_since[cluster.id]
            return True
        except ControlError:
            pass  # it starts, or has ended, which `_watch` sees
        self._silent_since.pop(cluster.id, None)
        return False

    def follow(self, cluster: Cluster, project: Project) -> None:
        """Follow the cluster's holder, unless somebody does."""
        if self.follows(cluster):
            return
        thread = threading.Thread(target=self._watch, args=(cluster, project), name=child_name(cluster), daemon=True)
        self._threads[cluster.id] = thread
        thread.start()

    def _watch(self, cluster: Cluster, project: Project) -> None:
        """Take over each state that the holder tells; when the holder is new, connect again."""
        child = child_name(cluster)
        while (process := self.context.children.get(child)) is not None:
            try:
                with suppress(ControlError):
                    for state in ClusterControl(control_socket(self.context.site, cluster)).watch():
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
                self.forget(cluster)
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
        why = last_line(self.context.site.log(child_name(cluster))) or "its holder cannot use it; see himalia logs"
        self.forget(cluster)
        with self.context.change() as change:
            row = change.session.get(Cluster, cluster.id)
            if row is not None and row.state != "closing":
                row.state, row.error = "failed", why
                data = {"state": "failed", "workers": 0, "error": why}
                change.event("cluster.state", cluster.name, data, project)

    def _lost(self, cluster: Cluster, project: Project) -> None:
        if not self.forget(cluster):
            return
        with self.context.change() as change:
            row = change.session.get(Cluster, cluster.id)
            if row is None or row.state == "closing":
                return
            row.state, row.error = "starting", "its holder ended and is being started again; see himalia logs"
            data = {"state": "starting", "workers": 0, "error": row.error}
            change.event("cluster.state", cluster.name, data, project)
