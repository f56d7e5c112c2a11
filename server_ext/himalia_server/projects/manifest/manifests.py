"""The manifests of projects as the service reads, checks and changes them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from ...service.auth import Principal
from ...service.context import Context
from ...store import Cluster, Project
from .checks import as_problem, check_folder, check_text, digest_of_text
from .completing import complete
from .editing import edit_text, require_unchanged, write_text
from .faults import Places, examine
from .models import Completion, ManifestPatch, ManifestProblem, ManifestProblems, ManifestText
from .reading import ManifestFault, read_text
from .tables import Manifest


class Manifests:
    """Texts, problems, candidates and edits of the manifests of projects."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.noticed: list[Callable[[Principal, Project, Manifest], list[tuple[tuple[str, ...], str]]]] = []
        """What others find for who asks: the key that it is about, and a sentence."""
        self._lock = threading.Lock()

    def text(self, project: Project) -> ManifestText:
        """The file as it is.

        Raises:
            ManifestFault: there is none, or it is no text.
        """
        text = read_text(Path(project.path))
        return ManifestText(text=text, digest=digest_of_text(text))

    def problems(self, principal: Principal, project: Project) -> ManifestProblems:
        """All that is wrong with the file, and between it and the project's files and clusters."""
        found = check_folder(Path(project.path), self._clusters(project))
        found.items += self._notices(principal, project)
        return found

    def _notices(self, principal: Principal, project: Project) -> list[ManifestProblem]:
        try:
            text = read_text(Path(project.path))
        except ManifestFault:
            return []
        manifest, places = examine(text)[0], Places(text)
        notices = [notice for find in self.noticed for notice in find(principal, project, manifest)] if manifest else []
        return [as_problem(places.fault(key, sentence, None, "warning")) for key, sentence in notices]

    def check(self, text: str, project: Project | None) -> list[ManifestProblem]:
        """As `problems`, of a text that nobody has saved yet."""
        if project is None:
            return check_text(text)
        return check_text(text, Path(project.path), self._clusters(project))

    def complete(self, text: str, line: int, column: int, project: Project | None) -> Completion:
        """What may be written at a place of a text."""
        if project is None:
            return complete(text, line, column)
        return complete(text, line, column, Path(project.path), self._clusters(project))

    def edit(self, principal: Principal, project: Project, patch: ManifestPatch) -> ManifestText:
        """Change the file; comments and order stay.

        Raises:
            Conflict: it is no longer what the caller has seen. Invalid: it would have a fault.
        """
        folder = Path(project.path)
        with self._lock:
            before = require_unchanged(folder, patch.base_digest)
            after = edit_text(before, patch.edits)
            if after != before:
                write_text(folder, after, patch.base_digest)
                keys = sorted({".".join(edit.path) for edit in patch.edits})
                digest = digest_of_text(after)
                with self.context.change(principal) as change:
                    change.require_live(project)
                    change.audit("manifest.edit", project, project.slug, keys=keys, digest=digest)
                    change.event("project.manifest", project.slug, {"digest": digest}, project)
        return ManifestText(text=after, digest=digest_of_text(after))

    def _clusters(self, project: Project) -> list[str]:
        with self.context.database.read() as session:
            return list(session.scalars(select(Cluster.name).where(Cluster.project_id == project.id)))
