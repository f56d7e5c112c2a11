"""Projects: make, find, delete; and the kernels that work in them."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir
from sqlalchemy import select
from sqlalchemy.orm import Session

from himalia_kernels.kernelspec import remove_kernelspec, write_kernelspec

from ..service import tokens
from ..service.auth import Principal, role_from, role_in, visible
from ..service.context import Context
from ..service.identity import start_ticks
from ..service.journal import MEMBERS
from ..service.once import Once
from ..service.problems import Conflict, Forbidden, Invalid, NotFound
from ..service.site import standard_home
from ..store import Kernel, Member, Project, StageRun, Token
from ..team import Role
from .manifest import SLUG, Manifest, ManifestCache, ManifestFault, edges, read_manifest
from .models import KernelGrant, ProjectView, StageView, TemplateView
from .templates import find_template, instantiate, missing, templates, unmark


class Projects:
    """The logic of the room. Other rooms may refuse a deletion (`before_delete`) and hear of it (`on_delete`)."""

    def __init__(self, context: Context, layer: Path) -> None:
        self.context, self.layer = context, layer
        self.before_delete: list[Callable[[Project], None]] = []
        self.on_delete: list[Callable[[Project], None]] = []
        self._creating = threading.Lock()
        self._choosing = threading.Lock()
        self._deleting: set[str] = set()
        self._manifests = ManifestCache()

    def create(
        self, principal: Principal, name: str, template: str | None, path: str | None, once: Once | None = None
    ) -> ProjectView:
        """Make a project; the caller becomes its owner.

        Raises:
            Forbidden, Invalid, Conflict, NotFound, ManifestFault: see the texts.
        """
        if principal.purpose != "user":
            raise Forbidden(
                "Projects are made by the account that owns the site, not by a kernel, a stage or a guest of its "
                "Jupyter server.",
                hint="Use your own JupyterLab, or the himalia command.",
            )
        if not SLUG.fullmatch(name) or name == "default":
            raise Invalid(
                f"{name!r} cannot be a project's name: use 2 to 63 small letters, digits and -, and not 'default'.",
                hint=_suggest(name),
                field="name",
            )
        # one at a time: name and folder are looked at and taken together
        with self._creating:
            if once is not None:
                once.require_new(self.context)
            try:
                folder = self.folder(name, path)
                self._refuse_taken(principal, name, folder)
                if template is not None:
                    folder.parent.mkdir(parents=True, exist_ok=True)
                    instantiate(find_template(template), folder, name, once.mark if once else None)
                elif not folder.is_dir():
                    raise Invalid(
                        f"The folder {folder} does not exist.", hint="Name a template to make it.", field="path"
                    )
            except (OSError, ValueError) as error:
                if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise Invalid(
                    f"The folder of the project cannot be used: {error}",
                    hint="Look at the rights of the folder above it, or choose another place.",
                    field="path",
                ) from error
            read_manifest(folder)
            with self.context.change(principal) as change:
                project = Project(
                    slug=name,
                    path=str(folder),
                    python=sys.executable,
                    kernelspec=f"himalia-{self.context.site.id}-{name}",
                    created_by=principal.user,
                )
                change.session.add(project)
                change.session.flush()
                change.made(once, project.slug)
                change.session.add(Member(project_id=project.id, user=principal.user, role=Role.OWNER))
                change.audit("project.create", project, name, path=str(folder), template=template)
                change.event("project.created", name, {"path": str(folder)}, project)
        if once is not None and template is not None:
            unmark(folder)
        self._write_kernelspec(project)
        return self.view(project, Role.OWNER)

    def templates(self) -> list[TemplateView]:
        """What a new project can be made from."""
        views = []
        for template in templates().values():
            problem = missing(template)
            views.append(
                TemplateView(
                    name=template.name,
                    title=template.title,
                    description=template.description,
                    available=problem is None,
                    problem=problem,
                )
            )
        return views

    def repair_kernelspecs(self) -> None:
        """Write the kernelspec of every project anew (at start): one may be missing, or point to an older place."""
        with self.context.database.read() as session:
            projects = list(session.scalars(select(Project)))
        for project in projects:
            self._write_kernelspec(project)

    def _write_kernelspec(self, project: Project) -> None:
        # an environment that was moved or made anew elsewhere has taken its Python along
        python = project.python if os.access(project.python, os.X_OK) else sys.executable
        write_kernelspec(
            Path(jupyter_data_dir()) / "kernels",
            name=project.kernelspec,
            display_name=project.slug,
            python=python,
            layer=self.layer,
            project=project.slug,
            site_home=self.context.site.home,
        )

    def view(self, project: Project, role: Role) -> ProjectView:
        """A project as its folder stands now; a broken manifest is told, not raised."""
        problem, manifest = None, None
        try:
            manifest = self._manifests.read(Path(project.path))
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
        )

    def page(self, principal: Principal, cursor: str | None, limit: int) -> tuple[list[ProjectView], str | None]:
        """What the caller may see, newest first, and where to go on."""
        query = visible(principal, Project).order_by(Project.id.desc()).limit(limit + 1)
        if cursor:
            query = query.where(Project.id < cursor)
        with self.context.database.read() as session:
            rows = session.execute(query).all()
        views = [self.view(project, role_from(principal, stored)) for project, stored in rows[:limit]]
        return views, rows[limit - 1][0].id if len(rows) > limit else None

    def delete(self, principal: Principal | None, project: Project, *, remove_files: bool) -> None:
        """Stop what runs, remove the project from the site; the folder only on request.

        Nothing new starts in it from the beginning of this on. A deletion that was interrupted is finished later by
        `finish_deletions`.

        Raises:
            Conflict: somebody else is deleting it at this moment.
        """
        with self._choosing:
            if project.id in self._deleting:
                raise Conflict(f"The project {project.slug} is being deleted already.", hint="Wait until it is gone.")
            self._deleting.add(project.id)
        try:
            self._delete(principal, project, remove_files=remove_files)
        finally:
            self._deleting.discard(project.id)

    def _delete(self, principal: Principal | None, project: Project, *, remove_files: bool) -> None:
        for check in self.before_delete:
            check(project)
        with self.context.change(principal) as change:
            row = change.session.get(Project, project.id)
            if row is None:
                return
            row.deleting = "remove" if remove_files else "keep"
            change.audit("project.delete", project, project.slug, remove_files=remove_files)
            change.event("project.deleting", project.slug, {}, project)
        for hook in self.on_delete:
            hook(project)
        with self.context.change(principal) as change:
            row = change.session.get(Project, project.id)
            if row is None:
                return
            tokens.revoke_all(change.session, project_id=project.id)
            members = list(change.session.scalars(select(Member.user).where(Member.project_id == project.id)))
            change.session.delete(row)
            change.event("project.deleted", project.slug, {MEMBERS: members}, project)
        remove_kernelspec(Path(jupyter_data_dir()) / "kernels", project.kernelspec)
        if remove_files and not self._forbidden(Path(project.path)):
            shutil.rmtree(project.path)

    def finish_deletions(self) -> None:
        """Go on with deletions that a crash, or an MLflow that did not answer, had interrupted."""
        with self.context.database.read() as session:
            projects = list(session.scalars(select(Project).where(Project.deleting.is_not(None))))
        for project in projects:
            if project.id not in self._deleting:
                self.delete(None, project, remove_files=project.deleting == "remove")

    def grant_kernel(self, principal: Principal, project: Project, kernel_id: str, pid: int) -> KernelGrant:
        """A fresh token and environment for a kernel that starts, or starts again."""
        ticks = start_ticks(pid)
        if ticks is None:
            raise Invalid(f"There is no process {pid} on this machine.", field="pid")
        file = self.context.site.home / "tokens" / f"kernel-{kernel_id}"
        with self.context.change(principal) as change:
            change.require_live(project)
            old = change.session.get(Kernel, kernel_id)
            if old is not None:
                token = change.session.get(Token, old.token_id)
                if old.project_id != project.id or (token is not None and token.user != principal.user):
                    raise Conflict(
                        f"The kernel {kernel_id} belongs to somebody else.",
                        hint="Start another kernel.",
                        field="kernel_id",
                    )
                self._revoke(token, change.session)
                change.session.delete(old)
                change.session.flush()
            token = tokens.issue(
                change.session,
                purpose="kernel",
                user=principal.user,
                seconds=tokens.KERNEL_SECONDS,
                file=file,
                project_id=project.id,
                role=Role.CONTRIBUTOR,
            )
            change.session.add(
                Kernel(id=kernel_id, project_id=project.id, token_id=token.id, owner_pid=pid, owner_ticks=ticks)
            )
            change.audit("kernel.start", project, kernel_id)
            change.event("kernel.granted", kernel_id, {}, project)
        assert token.expires_at is not None
        return KernelGrant(
            env=self.environment(project, file),
            cwd=project.path,
            token_file=str(file),
            expires_at=datetime.fromtimestamp(token.expires_at, UTC).isoformat(),
        )

    def environment(self, project: Project, token_file: Path) -> dict[str, str]:
        """What code of the project finds in its environment."""
        url = self.context.base_url
        cluster = self.context.first_cluster(project)
        env = {
            "HIMALIA_URL": url,
            "HIMALIA_TOKEN_FILE": str(token_file),
            "HIMALIA_PROJECT": project.slug,
            "MLFLOW_TRACKING_URI": f"{url}/mlflow/{project.slug}",
            "MLFLOW_TRACKING_AUTH": "himalia",
            "MLFLOW_EXPERIMENT_NAME": project.slug,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # lines that would make each executed notebook different
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        return env | ({"HIMALIA_CLUSTER": cluster} if cluster else {})

    def end_kernel(self, principal: Principal, project: Project, kernel_id: str) -> None:
        """Revoke a kernel's token."""
        with self.context.change(principal) as change:
            row = change.session.get(Kernel, kernel_id)
            if row is None or row.project_id != project.id:
                raise NotFound(
                    f"There is no kernel {kernel_id} in {project.slug}.", hint="It has ended: nothing is left to do."
                )
            self._revoke(change.session.get(Token, row.token_id), change.session)
            change.session.delete(row)
            change.audit("kernel.end", project, kernel_id)
            change.event("kernel.ended", kernel_id, {}, project)

    def renew_tokens(self) -> None:
        """Renew tokens of kernels and stages past half their time, or whose file holds another one or is gone; end
        those of kernels whose starter is gone.

        Also those that have expired: the clock may have been set, or the machine may have slept for days.
        """
        with self.context.database.read() as session:
            kernels = list(session.scalars(select(Kernel)))
        for kernel in kernels:
            with self.context.change() as change:
                row = change.session.get(Kernel, kernel.id)
                token = change.session.get(Token, kernel.token_id)
                if row is None:
                    continue
                if start_ticks(row.owner_pid) != row.owner_ticks:
                    self._revoke(token, change.session)
                    change.session.delete(row)
                elif token is not None and tokens.is_due(token, tokens.KERNEL_SECONDS):
                    row.token_id = tokens.renew(change.session, token, tokens.KERNEL_SECONDS).id
        with self.context.change() as change:
            query = select(Token).where(Token.purpose == "stage", Token.revoked_at.is_(None), Token.renewed.is_(False))
            for token in list(change.session.scalars(query)):
                stage = change.session.get(StageRun, (token.run_id, token.stage))
                if stage is not None and stage.status == "running" and tokens.is_due(token, tokens.STAGE_SECONDS):
                    tokens.renew(change.session, token, tokens.STAGE_SECONDS)

    @staticmethod
    def _revoke(token: Token | None, session: Session) -> None:
        """End a token and those that were renewed into the same file."""
        if token is None:
            return
        tokens.revoke_all(session, file=token.file or "")

    def role(self, principal: Principal, project: Project) -> Role:
        """The caller's role in a project that they may see."""
        with self.context.database.read() as session:
            return role_in(session, principal, project) or Role.VIEWER

    def folder(self, name: str, path: str | None) -> Path:
        """Where a project is put: in *path*, else in the usual place.

        Raises:
            Invalid: a project cannot be there.
        """
        if path is None:
            home = self.context.site.home
            # the standard place is hidden, so that no file browser shows what lies there
            root = Path.home() / "himalia" if home == standard_home() else home / "projects"
            folder = (root / name).resolve()
        elif not Path(path).is_absolute():
            raise Invalid(f"{path!r} is not an absolute folder.", hint="Begin it with /.", field="path")
        else:
            folder = Path(path).resolve()
        if self._forbidden(folder):
            raise Invalid(
                f"{folder} cannot be a project's folder: it holds more than a project.",
                hint="Make a folder of its own for the project.",
                field="path",
            )
        return folder

    def _forbidden(self, folder: Path) -> bool:
        """Whether a folder is, holds or belongs to the site itself, or is a person's whole home."""
        home = self.context.site.home.resolve()
        inside = folder.is_relative_to(home) and folder.parent != home / "projects"
        return folder in (Path("/"), Path.home().resolve()) or home.is_relative_to(folder) or inside

    def _refuse_taken(self, principal: Principal, name: str, folder: Path) -> None:
        with self.context.database.read() as session:
            if session.scalar(select(Project).where(Project.slug == name)) is not None:
                raise Conflict(
                    f"There is a project {name!r} already.", hint="Choose another name, or open that one.", field="name"
                )
            for other in session.scalars(select(Project)):
                place = Path(other.path)
                if folder.is_relative_to(place) or place.is_relative_to(folder):
                    known = role_in(session, principal, other) is not None
                    which = f"the project {other.slug!r}" if known else "another project"
                    raise Conflict(
                        f"{folder} and the folder of {which} lie within each other.",
                        hint="Choose a folder outside of it.",
                        field="path",
                    )


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
        )
        for name, stage in manifest.stages.items()
    ]


def _suggest(name: str) -> str | None:
    words = "".join(char if char.isascii() and char.isalnum() else "-" for char in name.lower())
    candidate = "-".join(word for word in words.split("-") if word)[:63].strip("-")
    return f"{candidate!r} would do." if SLUG.fullmatch(candidate) and candidate != "default" else None
