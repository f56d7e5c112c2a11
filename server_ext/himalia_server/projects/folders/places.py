"""Where the folders of projects may be."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import select

from ...service.auth import Principal, role_in
from ...service.context import Context
from ...service.problems import Conflict, Forbidden, Invalid
from ...service.site import standard_home
from ...store import Project
from ...team import may


class Places:
    """Folders of projects: the usual place, what cannot be one, and which are taken."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def usual(self) -> Path:
        """Where projects are put when nobody says otherwise."""
        home = self.context.site.home
        # the standard place is hidden, so that no file browser shows what lies there
        return Path.home() / "himalia" if home == standard_home() else home / "projects"

    def folder(self, name: str, path: str | None) -> Path:
        """Where a project is put: in *path*, else in the usual place.

        Raises:
            Invalid: a project cannot be there.
        """
        folder = resolved(path) if path is not None else (self.usual() / name).resolve()
        if self.forbidden(folder):
            raise Invalid(
                f"{folder} cannot be a project's folder: it holds more than a project.",
                hint="Make a folder of its own for the project.",
                field="path",
            )
        return folder

    def forbidden(self, folder: Path) -> bool:
        """Whether a folder is, holds or belongs to the site itself, or is a person's whole home."""
        home = self.context.site.home.resolve()
        inside = folder.is_relative_to(home) and folder.parent != home / "projects"
        return folder in (Path("/"), Path.home().resolve()) or home.is_relative_to(folder) or inside

    def taken(self, name: str) -> bool:
        """Whether a project of the site has that name, also one in the trash."""
        with self.context.database.read() as session:
            return session.scalar(select(Project.id).where(Project.slug == name)) is not None

    def refuse_taken(self, principal: Principal, name: str | None, folder: Path, but: str | None = None) -> None:
        """Refuse a name, or a folder, that a project (but the one with the id *but*) has already.

        Raises:
            Conflict: it is taken.
        """
        with self.context.database.read() as session:
            other = session.scalar(select(Project).where(Project.slug == name)) if name is not None else None
            if other is not None:
                known = role_in(session, principal, other) is not None
                raise _name_taken(other, known)
            for other in session.scalars(select(Project)):
                place = Path(other.path)
                if other.id != but and (folder.is_relative_to(place) or place.is_relative_to(folder)):
                    known = role_in(session, principal, other) is not None
                    which = f"the project {other.slug!r}" if known else "another project"
                    trashed = known and other.trashed_at is not None
                    which += " in the trash" if trashed else ""
                    raise Conflict(
                        f"{folder} and the folder of {which} lie within each other.",
                        hint=f"himalia project restore {other.slug}, or: himalia project delete --purge {other.slug}"
                        if trashed
                        else "Choose a folder outside of it.",
                        field="path",
                    )


def refuse_foreign(context: Context, principal: Principal, source: str) -> None:
    """Refuse a folder of this machine, as an absolute path or a file: address, that holds or belongs to a project of
    which the caller may have no copy.

    Raises:
        Forbidden: it does. Invalid: it can be no folder.
    """
    if not source.startswith("/") and not source.lower().startswith("file:"):
        return
    folder = resolved(source if source.startswith("/") else unquote(urlsplit(source).path) or "/")
    with context.database.read() as session:
        for project in session.scalars(select(Project)):
            for place in (Path(path) for path in (project.path, project.trash) if path):
                if not (folder.is_relative_to(place) or place.is_relative_to(folder)):
                    continue
                role = role_in(session, principal, project)
                if role is None or not may(role, "project.export"):
                    raise Forbidden(
                        f"{folder} holds a project, or belongs to one, of which you may have no copy.",
                        hint="One of its owners can make you a contributor.",
                    )


def resolved(path: str) -> Path:
    """An absolute folder as a person wrote it, without links.

    Raises:
        Invalid: it is not absolute, or can be no folder at all.
    """
    if not Path(path).is_absolute():
        raise Invalid(f"{path!r} is not an absolute folder.", hint="Begin it with /.", field="path")
    try:
        return Path(path).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a NUL; half a character; links that go round in a circle
        raise Invalid(
            f"{path!r} can be no folder: {error}.", hint="Write it as `pwd` shows it in that folder.", field="path"
        ) from error


def _name_taken(other: Project, known: bool) -> Conflict:
    if known and other.trashed_at is not None:
        return Conflict(
            f"There is a project {other.slug!r} in the trash.",
            hint=f"Bring it back: himalia project restore {other.slug}. Or free its name for good: himalia project "
            f"delete --purge {other.slug}",
            field="name",
        )
    return Conflict(
        f"There is a project {other.slug!r} already.", hint="Choose another name, or open that one.", field="name"
    )
