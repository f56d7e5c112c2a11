"""Builds that go on: one thread each, which starts the build's process, tells of its steps and hears of its end."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from ..service.children import ChildSpec, Exit
from ..service.context import Context
from ..service.site import private_folder, write_private
from ..store import Build, Project
from .build import Built
from .indexes import build_environment
from .source import Source

log = logging.getLogger(__name__)
ATTEMPTS = 2
"""A build that was killed is begun again once."""
LOOK = 0.2
"""Seconds between looks at how far a build is."""
NICE = 5
Ended = Callable[[str, Built | None, str | None, str | None], None]
"""Told at the end: the build's id, what was built, else why not, and the package to blame."""


def child_name(build_id: str) -> str:
    """The name of a build's supervised process."""
    return f"build-{build_id}"


class Followers:
    """Starts and follows builds. What is on the disk, not our memory, says where to go on."""

    def __init__(self, context: Context, root: Path, ended: Ended) -> None:
        self.context, self.root, self.ended = context, root, ended
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def begin(self, row: Build, project: Project, source: Source, upgrade: bool) -> None:
        """Start the process of a new build, and follow it."""
        document = {"project": project.path, "root": str(self.root), "source": asdict(source), "upgrade": upgrade}
        place = private_folder(self._place(row.id))
        write_private(place / "spec.json", json.dumps(document))
        self.follow(row.id)

    def follow(self, build_id: str) -> None:
        """Have a thread follow the build, unless one does."""
        with self._lock:
            self._threads = {key: other for key, other in self._threads.items() if other.is_alive()}
            if build_id in self._threads or self.context.stopping.is_set():
                return
            thread = threading.Thread(target=self._run, args=(build_id,), name=child_name(build_id), daemon=True)
            self._threads[build_id] = thread
            thread.start()

    def forget(self, build_id: str) -> None:
        """Remove what an ended build has left, but its log."""
        self.context.children.forget(child_name(build_id))
        shutil.rmtree(self._place(build_id), ignore_errors=True)

    def _place(self, build_id: str) -> Path:
        return self.root / ".builds" / build_id

    def _run(self, build_id: str) -> None:
        try:
            self._follow(build_id)
        except (OSError, RuntimeError, DBAPIError):
            if not self.context.stopping.is_set():
                log.exception("a build cannot be followed now; it is looked at again", extra={"build": build_id})
        except Exception as error:
            log.exception("a build was ended by a fault", extra={"build": build_id})
            self.context.children.stop(child_name(build_id))
            self.ended(build_id, None, f"An unexpected fault, recorded in the service's log: {error}", None)

    def _follow(self, build_id: str) -> None:
        children, name, place = self.context.children, child_name(build_id), self._place(build_id)
        attempts = 0
        while True:
            if children.get(name) is None and not (place / "outcome.json").exists():
                attempts += 1
                if not self._launch(build_id):
                    return
            end = self._watch(build_id)
            if self.context.stopping.is_set():
                return
            outcome = _read(place / "outcome.json")
            if outcome is None and attempts < ATTEMPTS and not (end and end.asked) and self._goes_on(build_id):
                children.forget(name)
                continue
            self._tell(build_id, outcome, end)
            self.forget(build_id)
            return

    def _launch(self, build_id: str) -> bool:
        """Start the process; false when there is nothing to start any more."""
        place = self._place(build_id)
        if not self._goes_on(build_id):
            self.forget(build_id)
            return False
        if not (place / "spec.json").exists():
            self.ended(build_id, None, "What the build was to do was lost with the site's files. Build again.", None)
            return False
        self.context.children.ensure(
            ChildSpec(
                name=child_name(build_id),
                argv=[sys.executable, "-m", "himalia_server.environments.build", "--spec", str(place / "spec.json")],
                env=build_environment(),
                cwd=str(place),
                grace=5.0,
                nice=NICE,
            )
        )
        if not self._goes_on(build_id):
            # whoever cancelled a moment ago found no process to stop yet
            self.context.children.stop(child_name(build_id))
        return True

    def _goes_on(self, build_id: str) -> bool:
        with self.context.database.read() as session:
            row = session.get(Build, build_id)
            return row is not None and row.state == "building"

    def _watch(self, build_id: str) -> Exit | None:
        """Tell of the steps until the process has ended, or the service stops."""
        children, name = self.context.children, child_name(build_id)
        seen = None
        while not self.context.stopping.is_set():
            end = children.wait(name, LOOK) if children.get(name) is not None else Exit(None, None, lost=True)
            step = (_read(self._place(build_id) / "progress.json") or {}).get("step")
            if isinstance(step, str) and step != seen and end is None:
                seen = step
                self._step(build_id, step)
            if end is not None:
                return end
        return None

    def _step(self, build_id: str, step: str) -> None:
        with self.context.change() as change:
            row = change.session.get(Build, build_id)
            if row is None or row.state != "building" or row.step == step:
                return
            row.step = step
            project = change.session.get_one(Project, row.project_id)
            data = {"state": "building", "environment": row.name, "step": step}
            change.event("environment.step", build_id, data, project)

    def _tell(self, build_id: str, outcome: dict[str, Any] | None, end: Exit | None) -> None:
        if outcome is None:
            how = end.sentence if end else "nothing is left of it"
            self.ended(build_id, None, f"The build's process ended without a result: {how}.", None)
        elif outcome["status"] == "ready":
            self.ended(build_id, Built(**outcome["environment"]), None, None)
        else:
            self.ended(build_id, None, outcome["error"], outcome["package"])


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return None
