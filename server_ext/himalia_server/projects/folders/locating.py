"""Folders of projects that were renamed, moved, swapped or copied, known by the mark that they bear."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import select

from ...service.auth import Principal
from ...service.context import Context
from ...service.problems import Conflict, Invalid
from ...store import Project
from ..manifest import NAME
from .marker import Mark, read_mark, try_mark
from .places import Places

log = logging.getLogger(__name__)
ENTRIES = 2000
"""Of a folder that are looked at, at most."""
AGAIN = 10.0
"""Seconds after which a project that was not found is looked for again."""


class Locating:
    """Finds folders again. Looks beside the old place, and in the usual one; never all over a disk."""

    def __init__(self, context: Context, places: Places) -> None:
        self.context, self.places = context, places
        self._lock = threading.Lock()
        self._missed: dict[str, float] = {}
        self._sure: dict[str, tuple[str, int, int]] = {}

    def at_home(self, project: Project) -> bool:
        """Whether a project's folder is where it is known to be: there is one, and it is not marked as another's."""
        folder = Path(project.path)
        try:
            status = folder.stat()
        except OSError:
            return False
        # a folder that was put in another's place is another folder
        state = (project.path, status.st_ino, status.st_dev)
        if self._sure.get(project.id) == state:
            return True
        mark = read_mark(folder)
        if mark is not None and mark != self.mark(project) and mark.site == self.context.site.id:
            return False
        self._sure[project.id] = state
        return True

    def mark(self, project: Project) -> Mark:
        """What the folder of a project bears."""
        return Mark(self.context.site.id, project.id)

    def looked_at(self, project: Project) -> list[Path]:
        """Folders in which a project is looked for: the one above its old place, and the usual one."""
        return list(dict.fromkeys([Path(project.path).parent, self.places.usual().resolve()]))

    def find(self, projects: Iterable[Project]) -> dict[str, Path]:
        """Where the folders of these *projects* are now, as far as they are found, and known to be so from now on.

        By the id of the project. Those that swapped places are found together.
        """
        late = time.monotonic() - AGAIN
        lost = [project for project in projects if self._missed.get(project.id, late) <= late]
        if not lost:
            return {}
        with self._lock:
            found: dict[str, Path] = {}
            wanted = {project.id for project in lost}
            for place in dict.fromkeys(place for project in lost for place in self.looked_at(project)):
                for folder, mark in _marked(place):
                    if mark.site == self.context.site.id and mark.project in wanted:
                        found.setdefault(mark.project, folder)
            for project in lost:
                if project.id not in found:
                    self._missed[project.id] = time.monotonic()
            return self._settle(None, found)

    def _settle(self, principal: Principal | None, found: dict[str, Path]) -> dict[str, Path]:
        """Know these folders from now on, when no other project has them."""
        if not found:
            return {}
        with self.context.change(principal) as change:
            rows = {row.id: row for row in change.session.scalars(select(Project))}
            moves = {key: path for key, path in found.items() if key in rows and rows[key].path != str(path)}
            stay = {row.path for row in rows.values() if row.id not in moves}
            moves = {key: path for key, path in moves.items() if str(path) not in stay and _free(path, rows, moves)}
            for key in moves:
                rows[key].path = f"moving:{key}"  # two may swap, and no two may have one path at any moment
            change.session.flush()
            for key, path in moves.items():
                rows[key].path = str(path)
                change.audit("project.move", rows[key], rows[key].slug, path=str(path))
                change.event("project.moved", rows[key].slug, {"path": str(path)}, rows[key])
        for key in moves:
            self._missed.pop(key, None)
            self._sure.pop(key, None)
        return moves

    def move(self, principal: Principal, project: Project, path: str) -> None:
        """A person says where the folder is now.

        Raises:
            Invalid: it is no folder of a project. Conflict: it belongs to another one, or the old folder is there
                still.
        """
        folder = self.places.folder(project.slug, path)
        if str(folder) == project.path:
            return
        if not (folder / NAME).is_file():
            raise Invalid(f"There is no {NAME} in {folder}.", hint="Name the project's own folder.", field="path")
        self.places.refuse_taken(principal, None, folder, but=project.id)
        mark, mine = read_mark(folder), self.mark(project)
        if mark is not None and mark.site == mine.site and mark.project != mine.project and self._known(mark.project):
            raise Conflict(f"{folder} is the folder of another project.", field="path", hint="Name the project's own.")
        if read_mark(Path(project.path)) == mine and self.at_home(project):
            raise Conflict(
                f"The folder of {project.slug} is still at {project.path}, so {folder} is a copy.",
                hint="Make the copy a project of its own: himalia project create NAME --path FOLDER. Or remove the old "
                "folder first.",
                field="path",
            )
        try_mark(folder, mine)
        with self._lock:
            self._settle(principal, {project.id: folder})

    def owner_of(self, folder: Path) -> tuple[Project | None, str]:
        """The project to which a folder belongs by its place ("here") or its mark ("moved" or "copy"), if any."""
        with self.context.database.read() as session:
            project = session.scalar(select(Project).where(Project.path == str(folder)))
            if project is not None and self.at_home(project):
                return project, "here"
            mark = read_mark(folder)
            if mark is None or mark.site != self.context.site.id:
                return None, "unknown"
            project = session.get(Project, mark.project)
        if project is None:
            return None, "unknown"
        return project, "copy" if self._is_there(project) else "moved"

    def _is_there(self, project: Project) -> bool:
        """Whether a project has a folder where it is known to be, marked as its own or not marked at all."""
        folder = Path(project.path)
        return folder.is_dir() and read_mark(folder) in (None, self.mark(project))

    def _known(self, project_id: str) -> bool:
        with self.context.database.read() as session:
            return session.get(Project, project_id) is not None

    def mark_all(self) -> None:
        """Mark folders that bear none: of projects from before there were marks, or cleaned by git."""
        with self.context.database.read() as session:
            projects = list(session.scalars(select(Project).where(Project.trashed_at.is_(None))))
        for project in projects:
            folder = Path(project.path)
            if (folder / NAME).is_file() and read_mark(folder) is None:
                try_mark(folder, self.mark(project))


def _free(path: Path, rows: dict[str, Project], moves: dict[str, Path]) -> bool:
    """Whether a folder lies within none of a project that stays where it is."""
    return not any(path.is_relative_to(row.path) for row in rows.values() if row.id not in moves)


def _marked(place: Path) -> Iterable[tuple[Path, Mark]]:
    """Folders directly in *place* that bear a mark."""
    try:
        with os.scandir(place) as entries:
            for number, entry in enumerate(entries):
                if number >= ENTRIES:
                    return
                if entry.is_dir(follow_symlinks=False) and ".deleted-" not in entry.name:
                    mark = read_mark(Path(entry.path))
                    if mark is not None:
                        yield Path(entry.path).resolve(), mark
    except OSError:
        return
