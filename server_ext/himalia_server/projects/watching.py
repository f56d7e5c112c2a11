"""Edits that nobody tells of: a manifest, or a file that says what an environment holds, changed in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from ..service.context import Context
from ..store import Project
from .manifest import NAME, Manifest, ManifestCache, ManifestFault, digest_of_text, read_text

State = tuple[int, ...] | None
"""Of a file that may have been written anew; None: there is none."""


@dataclass(frozen=True)
class _Seen:
    folder: str
    files: dict[str, State]


class Watch:
    """Looks at the files of all projects in use with `stat`, and tells of those that are no longer what they were.

    *sources*: relative paths of the files in a folder that say what its environment holds.
    """

    def __init__(self, context: Context, manifests: ManifestCache) -> None:
        self.context, self._manifests = context, manifests
        self.sources: Callable[[Path, Manifest], Iterable[str]] = lambda _folder, _manifest: ()
        self._seen: dict[str, _Seen] = {}

    def look(self) -> None:
        """Send `project.manifest` for each project whose files have changed since the look before; never at the first
        look at a folder."""
        query = select(Project.id, Project.path).where(
            Project.archived_at.is_(None), Project.trashed_at.is_(None), Project.deleting.is_(None)
        )
        with self.context.database.read() as session:
            folders = {row[0]: row[1] for row in session.execute(query)}
        self._seen = {key: seen for key, seen in self._seen.items() if folders.get(key) == seen.folder}
        for key, folder in folders.items():
            seen = self._seen.get(key)
            if seen is None:
                self._seen[key] = self._read(folder)
                continue
            changed = [name for name, state in seen.files.items() if _state(folder, name) != state]
            if changed:
                # what the manifest names may be other files now; looked at before it is told, so that nothing is missed
                self._seen[key] = self._read(folder)
                self._tell(key, folder, changed)

    def _read(self, folder: str) -> _Seen:
        before = _state(folder, NAME)
        try:
            names = self.sources(Path(folder), self._manifests.read(Path(folder)))
        except ManifestFault:
            names = ()
        return _Seen(folder, {name: _state(folder, name) for name in names} | {NAME: before})

    def _tell(self, project_id: str, folder: str, changed: list[str]) -> None:
        try:
            digest = digest_of_text(read_text(Path(folder)))
        except ManifestFault:
            digest = None
        with self.context.change() as change:
            project = change.session.get(Project, project_id)
            if project is not None:
                change.event("project.manifest", project.slug, {"digest": digest, "files": sorted(changed)}, project)


def _state(folder: str, name: str) -> State:
    try:
        status = Path(folder, name).stat()
    except (OSError, ValueError):
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
