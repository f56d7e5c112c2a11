"""The workspaces of verifications: made at the first request of a notebook, removed when its run has ended."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from ..service.site import private_folder
from ..store import Project
from .client import MlflowClient
from .entities import SCRATCH, scratch_name
from .errors import MlflowError

SECONDS = 10.0
"""For MLflow to answer."""


class Scratches:
    """Makes and removes them. The folder of a workspace's files is there as long as the workspace."""

    def __init__(self, socket: Path, artifacts: Path) -> None:
        self._socket, self._folder = socket, artifacts / "workspaces"
        self._open: set[str] = set()
        self._lock = threading.Lock()

    def open(self, project: Project, run_id: str) -> str:
        """The workspace of a verification's run, with an experiment of the project's name.

        Raises:
            MlflowUnavailable: MLflow does not answer.
        """
        name = scratch_name(run_id)
        with self._lock:
            if name in self._open:
                return name
        private_folder(private_folder(self._folder) / name)
        MlflowClient(self._socket, "", SECONDS).ensure_workspace(name)
        MlflowClient(self._socket, name, SECONDS).get_or_create_experiment(project.slug)
        with self._lock:
            self._open.add(name)
        return name

    def left(self) -> list[str]:
        """Runs whose workspaces have not been removed."""
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        return [name.removeprefix(scratch_name("")) for name in names if SCRATCH.fullmatch(name)]

    def close(self, run_id: str) -> None:
        """Remove the workspace of a run that has ended, with all that is in it. Safe to repeat.

        Raises:
            MlflowUnavailable: MLflow does not answer; call again. MlflowError: it refuses.
        """
        name = scratch_name(run_id)
        with self._lock:
            self._open.discard(name)
        try:
            MlflowClient(self._socket, "").delete_workspace(name)
        except MlflowError as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
        # last: as long as it is there, somebody comes back to remove the rest
        shutil.rmtree(self._folder / name)
