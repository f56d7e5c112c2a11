"""Components: published, found, used. Which of them a project may use is decided in `finding`."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..content import ContentStore, FileEntry, MissingContent
from ..projects import COMPONENTS as INSIDE
from ..projects import Manifest, ManifestFault, Projects, code_files
from ..service.auth import Principal, visible_projects
from ..service.context import Context
from ..service.once import Once
from ..service.paging import page_of
from ..service.problems import Conflict, Invalid, NotFound, nearest
from ..store import Component, ComponentUse, Project, Run
from .compare import compare
from .finding import Found, by_name, find, give, problems_of, resolve, visible_components
from .models import (
    Comparison,
    ComponentDetail,
    ComponentPublish,
    ComponentPublished,
    ComponentView,
    ProjectComponents,
    UserView,
    UseView,
    VersionView,
)
from .modules import modules_in, shadowed
from .snapshots import Snapshots, numbered
from .uses import edit, split
from .versions import newest, next_free, ordered

log = logging.getLogger(__name__)
SOURCES = "src/"
FOLDER = "sources"
"""Of the site: where components and the modules of models are laid out to import from."""
STEADY = 5
"""Times that the files to publish are read, until they are the same twice."""
LOST_HINT = "Restore a backup (himalia restore), or publish a new version."


class Components:
    """The logic of the room."""

    def __init__(self, context: Context, projects: Projects, content: ContentStore) -> None:
        self.context, self.projects, self.content = context, projects, content
        self.snapshots = Snapshots(content, context.site.home / FOLDER)

    # --- publishing

    def publish(
        self, principal: Principal, project: Project, wanted: ComponentPublish, once: Once | None = None
    ) -> ComponentPublished:
        """Publish modules of the project's src/ as a version that never changes. The same files again change nothing.

        Raises:
            Invalid: there is nothing to publish. Conflict: the version holds other files, or the name is somebody's.
            ManifestFault: himalia.toml says which files are code, and has a fault.
        """
        entries = self._steady(project, wanted.module)
        name = f"{project.slug}/{wanted.name}"
        if not entries:
            what = f"src/{wanted.module}" if wanted.module else "src/"
            known = modules_in(self._sources(project)) if wanted.module else []
            raise Invalid(
                f"{what} of {project.slug} holds no code to publish.",
                hint=f"Modules in its src/: {', '.join(sorted(known))}."
                if known
                else f"Put modules into {Path(project.path) / 'src'}; git-ignored files are left out.",
                field="module" if wanted.module else "name",
            )
        digest, modules = self.content.put_tree(entries), modules_in(entries)
        with self.context.change(principal) as change:
            change.require_live(project)
            rows = list(change.session.scalars(select(Component).where(Component.name == name)))
            self._refuse_taken(rows, project, wanted, digest)
            row = next((row for row in rows if row.version == wanted.version), None)
            again = wanted if row is not None else None
            if row is None:
                row = Component(
                    project_id=project.id,
                    name=name,
                    version=wanted.version,
                    digest=digest,
                    modules=modules,
                    note=wanted.note,
                    created_by=principal.user,
                )
                change.session.add(row)
                change.session.flush()
                change.audit("component.publish", project, f"{name}@{wanted.version}", digest=digest)
                change.event("component.published", name, {"version": wanted.version, "digest": digest}, project)
            change.made(once, row.id)
        return self._published(row, project, again)

    def published(self, project: Project, row_id: str) -> ComponentPublished:
        """A version by the id of its row."""
        with self.context.database.read() as session:
            return self._published(session.get_one(Component, row_id), project)

    def _published(self, row: Component, project: Project, again: ComponentPublish | None = None) -> ComponentPublished:
        """*again*: what was asked for when that very version was there already."""
        own = Path(project.path) / "src"
        warnings = [found.sentence for found in shadowed(own, project.python) if found.module in row.modules]
        if again is not None and again.note not in ("", row.note):
            kept = f"stays {row.note!r}" if row.note else "stays empty"
            warnings.append(f"A version never changes: the note of {row.name}@{row.version} {kept}.")
        return ComponentPublished(
            **self._version(row).model_dump(), name=row.name, warnings=warnings, unchanged=again is not None
        )

    @staticmethod
    def _refuse_taken(rows: list[Component], project: Project, wanted: ComponentPublish, digest: str) -> None:
        if any(row.project_id != project.id for row in rows):
            raise Conflict(
                f"{project.slug}/{wanted.name} was published by another project of that name, which is gone.",
                hint="Choose another name for the component: who used the old one must not get yours by accident.",
                field="name",
            )
        versions = [row.version for row in rows]
        for row in rows:
            if row.version == wanted.version and row.digest != digest:
                raise Conflict(
                    f"{row.name}@{row.version} is published already, with other files, and never changes.",
                    hint=f"The next free version is {next_free(wanted.version, versions)}.",
                    field="version",
                )

    def _steady(self, project: Project, module: str | None) -> dict[str, FileEntry]:
        """As `_sources`, when it is twice the same: what never changes again is no mixture of two states.

        Raises:
            Conflict: it goes on changing.
        """
        before = None
        for _ in range(STEADY):
            try:
                found = self._sources(project, module)
            except OSError as error:  # a file has gone between its listing and its reading
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                continue
            if found == before:
                return found
            before = found
        raise Conflict(
            f"The files in src/ of {project.slug} change, or cannot be read, while they are published.",
            hint="Publish again when what writes them is done, and look at their rights.",
        )

    def _sources(self, project: Project, module: str | None = None) -> dict[str, FileEntry]:
        """The project's src/ as it is now, by path below it."""
        folder, manifest = Path(project.path), self.projects.kernels.manifest(project)
        names = [name for name in code_files(folder, manifest) if name.startswith(SOURCES)]
        if module is not None:
            names = [name for name in names if _belongs(name.removeprefix(SOURCES), module)]
        return {name.removeprefix(SOURCES): self.content.put_file(folder / name) for name in names}

    # --- finding

    def page(self, principal: Principal, cursor: str | None, limit: int) -> tuple[list[ComponentView], str | None]:
        """Components that the caller may see, by name."""
        with self.context.database.read() as session:
            rows = by_name(visible_components(session, principal))
            users = self._users(session)
            names, following = page_of(rows, str, cursor, limit)
            return [self._view(session, name, rows[name], users) for name in names], following

    def detail(self, principal: Principal, name: str) -> ComponentDetail:
        """One component with its versions, newest first, and its users.

        Raises:
            NotFound: there is none that the caller may see.
        """
        with self.context.database.read() as session:
            rows = self._versions(session, principal, name)
            users = self._users(session)
            mine = visible_projects(self.context, principal)
            return ComponentDetail(
                **self._view(session, name, rows, users).model_dump(),
                published=[self._version(rows[version]) for version in reversed(ordered(rows))],
                users=[
                    UserView(project=user.slug, version=version)
                    for user, version in users.get(name, [])
                    if user.id in mine
                ],
            )

    def compare(self, principal: Principal, name: str, old: str, new: str) -> Comparison:
        """What differs between two versions.

        Raises:
            NotFound: there is no such component or version.
        """
        with self.context.database.read() as session:
            rows = self._versions(session, principal, name)
        for version in (old, new):
            if version not in rows:
                raise NotFound(f"{name} has no version {version!r}.", hint=nearest(version, rows))
        return compare(self._files(rows[old]), self._files(rows[new]))

    def _files(self, row: Component) -> dict[str, bytes]:
        try:
            tree = self.content.tree(row.digest)
            return {name: self.content.path(entry.digest).read_bytes() for name, entry in tree.items()}
        except MissingContent as error:
            raise NotFound(_lost(row), hint=LOST_HINT) from error

    def _versions(self, session: Session, principal: Principal, name: str) -> dict[str, Component]:
        rows = by_name(visible_components(session, principal))
        if name not in rows:
            raise NotFound(f"There is no component {name!r} that you can see.", hint=nearest(name, rows))
        return rows[name]

    def _users(self, session: Session) -> dict[str, list[tuple[Project, str]]]:
        """By component the projects whose himalia.toml uses it, and in which version."""
        found: dict[str, list[tuple[Project, str]]] = {}
        for project in session.scalars(select(Project).where(Project.trashed_at.is_(None)).order_by(Project.slug)):
            try:
                uses = self.projects.kernels.manifest(project).project.uses
            except ManifestFault:
                continue  # told where the project is shown
            for use in uses:
                name, version = split(use)
                found.setdefault(name, []).append((project, version))
        return found

    def _view(
        self,
        session: Session,
        name: str,
        rows: Mapping[str, Component],
        users: Mapping[str, list[tuple[Project, str]]],
    ) -> ComponentView:
        publisher = next(iter(rows.values())).project_id
        project = session.get(Project, publisher) if publisher else None
        return ComponentView(
            name=name,
            project=project.slug if project else None,
            versions=ordered(rows),
            newest=newest(rows) or "",
            used_by=len(users.get(name, [])),
        )

    def _version(self, row: Component) -> VersionView:
        files, problem = None, None
        try:
            tree = self.content.tree(row.digest)
            for entry in tree.values():
                self.content.path(entry.digest)
            files = len(tree)
        except MissingContent:
            problem = f"{_lost(row)} {LOST_HINT}"
        return VersionView(
            version=row.version,
            digest=row.digest,
            modules=[str(module) for module in row.modules],
            files=files,
            problem=problem,
            note=row.note,
            created_by=row.created_by,
            created_at=row.created_at,
        )

    # --- using

    def of(self, principal: Principal, project: Project) -> ProjectComponents:
        """What a project uses and publishes, and what is wrong."""
        try:
            manifest = self.projects.kernels.manifest(project)
        except ManifestFault as fault:
            manifest, problems = None, [f"{fault.detail} {fault.hint or ''}".strip()]
        with self.context.database.read() as session:
            users = self._users(session)
            query = select(Component).where(Component.project_id == project.id)
            own = by_name(session.scalars(query))
            publishes = [self._view(session, name, rows, users) for name, rows in sorted(own.items())]
            uses = []
            if manifest is not None:
                found = find(session, principal, project, manifest)
                problems = problems_of(project, manifest, found)
                uses = [self._use(session, principal, use, found) for use in manifest.project.uses]
        return ProjectComponents(uses=uses, publishes=publishes, problems=problems)

    def noticed(self, principal: Principal, project: Project, manifest: Manifest) -> list[tuple[tuple[str, ...], str]]:
        """What is wrong with a project's modules and components: the manifest's key it is about, and a sentence.

        As a kernel would find it that the caller starts.
        """
        with self.context.database.read() as session:
            found = find(session, principal, project, manifest)
        about = ("project", "uses")
        return [(about, problem) for problem in problems_of(project, manifest, found)]

    def use(self, principal: Principal, project: Project, name: str, version: str) -> UseView:
        """Have the project use a component in this version: a line of its himalia.toml, whose comments stay.

        Raises:
            NotFound: there is no such component or version that the caller may see.
        """
        with self.context.change(principal) as change:
            change.require_live(project)
            rows = self._versions(change.session, principal, name)
            if version not in rows:
                raise NotFound(f"{name} has no version {version!r}.", hint=nearest(version, rows), field="version")
            give(change, project, name)
            change.audit("component.use", project, f"{name}@{version}")
            change.event("component.used", name, {"version": version}, project)
            # within: what cannot be written was not given
            edit(Path(project.path), name, version)
        with self.context.database.read() as session:
            found = find(session, principal, project, self.projects.kernels.manifest(project))
            return self._use(session, principal, f"{name}@{version}", found)

    def leave(self, principal: Principal, project: Project, name: str) -> None:
        """Have the project no longer use a component.

        Raises:
            NotFound: it does not.
        """
        known = [split(use)[0] for use in self.projects.kernels.manifest(project).project.uses]
        if name not in known:
            raise NotFound(f"{project.slug} does not use {name!r}.", hint=nearest(name, known))
        with self.context.change(principal) as change:
            row = change.session.get(ComponentUse, (project.id, name))
            if row is not None:
                change.session.delete(row)
            change.audit("component.leave", project, name)
            change.event("component.left", name, {}, project)
            edit(Path(project.path), name, None)

    def sources(self, principal: Principal, project: Project, manifest: Manifest) -> tuple[list[Path], list[str]]:
        """Folders that a kernel imports the project's components from, and what is wrong, a sentence each."""
        found = resolve(self.context, principal, project, manifest)
        problems, paths = problems_of(project, manifest, found), []
        for row in found.rows:
            try:
                paths.append(self.snapshots.folder(row.digest))
            except (OSError, MissingContent) as error:
                problems.append(f"The component {row.name}@{row.version} cannot be laid out: {error}")
        return paths, problems

    def for_run(self, principal: Principal, project: Project, manifest: Manifest) -> dict[str, str]:
        """Digests of the components that a run uses, by `project/component@version`, in the order of the path.

        Raises:
            Invalid: one is not there, or not for this project.
        """
        return _digests(resolve(self.context, principal, project, manifest))

    def would_run(self, principal: Principal | None, project: Project, manifest: Manifest) -> dict[str, str]:
        """As `for_run`, and changes nothing. None: what is the project's own, or was given to it.

        Raises:
            Invalid: as `for_run`.
        """
        with self.context.database.read() as session:
            return _digests(find(session, principal, project, manifest))

    def inside(self, digests: Mapping[str, str]) -> dict[str, FileEntry]:
        """Files of components as a run's snapshot holds them, so that it is whole by itself."""
        files = {}
        for use, digest in digests.items():
            for name, entry in self.content.tree(digest).items():
                files[f"{INSIDE}/{split(use)[0]}/{name}"] = entry
        return files

    def frozen(self, principal: Principal | None, project: Project, run_id: str | None) -> str | None:
        """A snapshot of the modules that a model may import: of the run that made it, else as they are now.

        None when there are none.
        """
        try:
            tree = numbered([part for part in self._parts(principal, project, run_id) if part])
        except (ManifestFault, MissingContent) as error:
            # most models import nothing of the project; one that does says so when it is loaded
            log.warning("a model is deployed without the project's modules: %s", error, extra={"project": project.slug})
            return None
        return self.content.put_tree(tree) if tree else None

    def _parts(self, principal: Principal | None, project: Project, run_id: str | None) -> list[dict[str, FileEntry]]:
        """Files to import, by folder."""
        with self.context.database.read() as session:
            run = session.get(Run, run_id) if run_id else None
        if run is not None and run.project_id == project.id:
            files = self.content.tree(run.snapshot)
            names = [split(use)[0] for use in run.manifest.get("components", {})]
            return [_below(files, prefix) for prefix in (SOURCES, *(f"{INSIDE}/{name}/" for name in names))]
        with self.context.database.read() as session:
            found = find(session, principal, project, self.projects.kernels.manifest(project))
        return [self._sources(project), *(self.content.tree(row.digest) for row in found.rows)]

    def frozen_paths(self, digest: str | None) -> list[Path]:
        """Folders to import from, of what `frozen` made; none when that is lost."""
        try:
            return self.snapshots.parts(digest) if digest else []
        except MissingContent as error:
            log.warning("modules of a deployed model are lost: %s", error)
            return []

    def _use(self, session: Session, principal: Principal, use: str, found: Found) -> UseView:
        name, version = split(use)
        row = next((row for row in found.rows if (row.name, row.version) == (name, version)), None)
        known = by_name(visible_components(session, principal)).get(name, {})
        return UseView(
            name=name,
            version=version,
            digest=row.digest if row else None,
            newest=newest(known),
            modules=[str(module) for module in row.modules] if row else [],
            problem=found.problems.get(use),
        )


def _belongs(path: str, module: str) -> bool:
    return path == f"{module}.py" or path.startswith(f"{module}/")


def _lost(row: Component) -> str:
    return f"The files of {row.name}@{row.version} are gone: the site's content store was removed or damaged."


def _below(files: Mapping[str, FileEntry], prefix: str) -> dict[str, FileEntry]:
    return {name.removeprefix(prefix): entry for name, entry in files.items() if name.startswith(prefix)}


def _digests(found: Found) -> dict[str, str]:
    for problem in found.problems.values():
        raise Invalid(f"project.uses: {problem}", hint="Correct himalia.toml.", field="project.uses")
    return {f"{row.name}@{row.version}": row.digest for row in found.rows}
