"""Projects: find, list and show them. What else is done with them lies in the parts of `Projects`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from ..service.auth import Principal, role_from, role_in, visible
from ..service.context import Context
from ..service.once import Once
from ..service.problems import Invalid
from ..store import Project, now
from ..team import Role
from .folders import Locating, Places, free_name, name_of_source, name_problem, refuse_foreign, require_name, resolved
from .kernels import Kernels, language_notices, remove_specs, write_specs
from .life import DAY, TRASH_DAYS, Lifecycle, Removal, removal_of
from .making import Making, Transfers, clone, copied_from, require_person
from .manifest import KernelTable, Manifest, ManifestCache, ManifestFault, Manifests, edges
from .members import Members
from .models import Located, NameCheck, ProjectCreate, ProjectView, StageView
from .templates import Library, TemplateView, copied
from .watching import Watch

log = logging.getLogger(__name__)


class Projects:
    """The room. Other rooms are told of what becomes of a project by the hooks of `life`."""

    def __init__(self, context: Context, layer: Path, clock: Callable[[], float] = now) -> None:
        self.context, self.layer = context, layer
        self._manifests = ManifestCache()
        self.places = Places(context)
        self.kernels = Kernels(context, self._manifests)
        self.kernels.write_specs = self.write_kernelspec
        self.manifests = Manifests(context)
        self.manifests.noticed.append(language_notices)
        self.watch = Watch(context, self._manifests)
        self.members = Members(context)
        self.library = Library(context)
        self.transfers = Transfers(context)
        self.locating = Locating(context, self.places)
        self.making = Making(context, self.places, self.try_kernelspec)
        self.life = Lifecycle(context, self.places, clock)
        self.life.on_hide.append(remove_specs)
        self.life.on_show.append(self.try_kernelspec)
        self.count_models: Callable[[Project], tuple[int, int] | None] = lambda _project: None

    def start(self) -> None:
        """After a start of the service: go on with what was being made, and have all in order."""
        self.transfers.sweep()
        self.making.recover()
        self.repair_kernelspecs()
        self.locating.mark_all()

    def create(
        self, principal: Principal, name: str | None, template: str | None, path: str | None, once: Once | None = None
    ) -> ProjectView:
        """As `make`, from a template or a folder."""
        return self.make(principal, ProjectCreate(name=name, template=template, path=path), once)

    def make(self, principal: Principal, wanted: ProjectCreate, once: Once | None = None) -> ProjectView:
        """Make a project; the caller becomes its owner.

        Raises:
            Forbidden, Invalid, Conflict, NotFound, Unavailable, ManifestFault: see the texts; nothing is left.
        """
        require_person(principal)
        name, path = wanted.name, wanted.path
        if wanted.git is not None:
            if wanted.template is not None:
                raise Invalid("A project is made from a template or from a repository.", hint="Name one.", field="git")
            like, fill = name_of_source(wanted.git), clone(wanted.git, self.context.stopping)
            refuse_foreign(self.context, principal, wanted.git)
            # not its address: that of a private repository is nobody's but its owner's
            project = self.making.make(
                principal, name, path, once, like=like, fill=fill, detail={"from": "git"}, renamed=False
            )
        elif wanted.template is not None:
            fill = copied(self.library.find(wanted.template))
            detail = {"template": wanted.template}
            project = self.making.make(principal, name, path, once, like=wanted.template, fill=fill, detail=detail)
        else:
            if name is not None:
                require_name(name)
            folder = self.places.folder(name or "project", path)
            if name is None and path is None:
                raise Invalid("A new project needs a name, or a source that it can be named after.", field="name")
            owner, state = self.locating.owner_of(folder)
            if owner is not None and state == "moved" and self._role(principal, owner) is not None:
                raise Invalid(
                    f"{folder} is the folder of the project {owner.slug!r}, which was moved.",
                    hint=f"himalia project move {owner.slug} {folder}",
                    field="path",
                )
            project = self.making.make(principal, name, path, once, like=folder.name, fill=None, detail={})
        return self.view(project, Role.OWNER)

    def clone(
        self, principal: Principal, project: Project, name: str, path: str | None, data: bool, once: Once | None = None
    ) -> ProjectView:
        """A project of its own from the code of another, with its declared inputs on request."""
        fill = copied_from(Path(project.path), data=data)
        detail = {"from": project.slug}
        made = self.making.make(principal, name, path, once, like=name, fill=fill, detail=detail)
        return self.view(made, Role.OWNER)

    def suggest(self, name: str) -> NameCheck:
        """Whether a new project can be called so, and what else it could be called."""
        problem = name_problem(name)
        if problem is None and self.places.taken(name):
            problem = f"There is a project {name!r} already."
        suggestion = name if problem is None else free_name(name, self.places.taken)
        return NameCheck(name=name, free=problem is None, problem=problem, suggestion=suggestion)

    def templates(self) -> list[TemplateView]:
        """What a new project can be made from."""
        return self.library.views()

    def repair_kernelspecs(self) -> None:
        """Write the kernelspec of every project anew (at start): one may be missing, or point to an older place."""
        with self.context.database.read() as session:
            awake = select(Project).where(Project.archived_at.is_(None), Project.trashed_at.is_(None))
            projects = list(session.scalars(awake))
        for project in projects:
            self.try_kernelspec(project)

    def try_kernelspec(self, project: Project) -> None:
        """As `write_kernelspec`; a project whose kernelspec cannot be written is there all the same."""
        try:
            self.write_kernelspec(project)
        except OSError as error:
            log.warning("a project has no kernelspec: %s", error, extra={"project": project.slug})

    def write_kernelspec(self, project: Project) -> None:
        """Write the project's kernelspec as it is to be now; one in which nothing runs has none.

        Raises:
            OSError: it cannot be written, or removed.
        """
        if project.archived_at is not None or project.trashed_at is not None:
            remove_specs(project)
            return
        try:
            table = self.kernels.manifest(project).kernel
        except ManifestFault:
            table = KernelTable()
        write_specs(project, table, self.layer, self.context.site.home)

    def find_folders(self, projects: list[Project]) -> None:
        """Look for the folders of those that are not where they were; what is found is known from now on, and said
        in *projects*."""
        lost = [project for project in projects if project.trashed_at is None and not self.locating.at_home(project)]
        if not lost:
            return
        moves = self.locating.find(lost)
        for project in lost:
            if project.id in moves:
                project.path = str(moves[project.id])

    def view(self, project: Project, role: Role) -> ProjectView:
        """A project as its folder stands now; a broken manifest is told, not raised."""
        problem, manifest = None, None
        missing = project.trashed_at is None and not self.locating.at_home(project)
        if missing:
            looked = " and ".join(str(place) for place in self.locating.looked_at(project))
            problem = (
                f"The folder {project.path} is gone or is another project's now. It was looked for in {looked}. "
                f"Say where it is: himalia project move {project.slug} FOLDER"
            )
        try:
            manifest = self._manifests.read(Path(project.path)) if not missing else None
        except ManifestFault as fault:
            problem = f"{fault.detail} {fault.hint or ''}".strip()
        return ProjectView(
            slug=project.slug,
            name=manifest.project.name if manifest else project.slug,
            description=manifest.project.description if manifest else "",
            path=project.path,
            kernelspec=project.kernelspec,
            created_at=project.created_at,
            role=role,
            stages=_stages(manifest) if manifest else [],
            problem=problem,
            missing=missing,
            archived_at=project.archived_at,
            trashed_at=project.trashed_at,
            purged_at=project.trashed_at + TRASH_DAYS * DAY if project.trashed_at is not None else None,
        )

    def page(
        self,
        principal: Principal,
        cursor: str | None,
        limit: int,
        *,
        archived: bool = False,
        trashed: bool = False,
    ) -> tuple[list[ProjectView], str | None]:
        """What the caller may see, newest first, and where to go on: what is in use, or the *archived*, or the
        *trashed* ones."""
        query = visible(principal, Project).order_by(Project.id.desc()).limit(limit + 1)
        if trashed:
            query = query.where(Project.trashed_at.is_not(None))
        else:
            resting = Project.archived_at.is_not(None) if archived else Project.archived_at.is_(None)
            query = query.where(Project.trashed_at.is_(None), resting)
        if cursor:
            query = query.where(Project.id < cursor)
        with self.context.database.read() as session:
            rows = session.execute(query).all()
        self.find_folders([project for project, _ in rows[:limit]])
        views = [self.view(project, role_from(principal, stored)) for project, stored in rows[:limit]]
        return views, rows[limit - 1][0].id if len(rows) > limit else None

    def removal(self, principal: Principal, project: Project) -> Removal:
        """What deleting it would take away."""
        return removal_of(self.context, principal, project, self._manifests, self.count_models)

    def locate(self, principal: Principal, path: str) -> Located:
        """Whose folder it is; a project that was moved there is known there from now on.

        Raises:
            Forbidden: a kernel, a stage or a guest asks. Invalid: it can be no folder.
        """
        require_person(principal)
        folder = resolved(path)
        project, state = self.locating.owner_of(folder)
        role = self._role(principal, project) if project is not None else None
        if project is None or role is None or project.trashed_at is not None:
            message = f"{folder} is no project's folder."
            suggestion = free_name(folder.name, self.places.taken)
            return Located(state="unknown", project=None, message=message, suggestion=suggestion)
        if state == "moved":
            if role != Role.OWNER:
                message = f"{folder} seems to be {project.slug}, which was at {project.path}; an owner has to say so."
                return Located(state="unknown", project=None, message=message, suggestion=None)
            before = project.path
            self.locating.move(principal, project, path)
            project.path = str(folder)
            message = f"{project.slug} was moved here from {before}."
            return Located(state="moved", project=self.view(project, role), message=message, suggestion=None)
        view = self.view(project, role)
        if state == "copy":
            message = f"{folder} is a copy of the folder of {project.slug}, which is in {project.path}."
            suggestion = free_name(folder.name, self.places.taken)
            return Located(state="copy", project=view, message=message, suggestion=suggestion)
        return Located(state="here", project=view, message=f"{folder} is {project.slug}.", suggestion=None)

    def role(self, principal: Principal, project: Project) -> Role:
        """The caller's role in a project that they may see."""
        return self._role(principal, project) or Role.VIEWER

    def _role(self, principal: Principal, project: Project) -> Role | None:
        with self.context.database.read() as session:
            return role_in(session, principal, project)

    def folder(self, name: str, path: str | None) -> Path:
        """Where a project is put: in *path*, else in the usual place.

        Raises:
            Invalid: a project cannot be there.
        """
        return self.places.folder(name, path)


def _stages(manifest: Manifest) -> list[StageView]:
    waits = edges(manifest)
    return [
        StageView(
            name=name,
            notebook=stage.notebook,
            params=stage.params,
            inputs=stage.inputs,
            outputs=stage.outputs,
            waits_for=sorted(waits[name]),
            cluster=stage.cluster,
            settings=stage.model_dump(
                exclude_unset=True, exclude={"notebook", "params", "inputs", "outputs", "cluster"}
            ),
        )
        for name, stage in manifest.stages.items()
    ]
