"""Kernels of projects: what they are given when they start, and their tokens."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from himalia_kernels.zygotes import end_all, start_wanted

from ...service import tokens
from ...service.auth import Principal
from ...service.context import Context
from ...service.identity import start_ticks
from ...service.problems import Conflict, Invalid, NotFound, Problem
from ...service.site import private_folder
from ...store import Kernel, Project, StageRun, Token
from ...team import Role
from ..manifest import KernelTable, Manifest, ManifestCache, ManifestFault, size
from .models import EnvironmentGrant, Grant, KernelGrant, KernelStartView, LimitsGrant, ZygoteGrant
from .specs import language_problems
from .starts import kernel_start
from .used import ForKernel, ForRun, Used, shared

NOTES = "HIMALIA_NOTES"
"""What a person should know of the kernel that starts, a sentence a line; shown with the first cell that is run."""
COMPONENTS = ".himalia/components"
"""Where a snapshot holds the components that it uses, as `project/component/`."""


class Kernels:
    """Grants for kernels and stages. Other rooms add what is theirs.

    `secrets`: variables that nobody but the kernel may see; raises `Problem` when some cannot be had, with those that
    can in its `opened`. `variables`: others. `sources`: folders to import from, and what is wrong with them.
    """

    def __init__(self, context: Context, manifests: ManifestCache) -> None:
        self.context, self._manifests = context, manifests
        self.environment_of: ForKernel = shared
        self.environment_for_run: ForRun = shared
        self.write_specs: Callable[[Project], None] = lambda _project: None
        """Write the project's kernelspecs anew."""
        self._written: dict[str, KernelTable] = {}
        """By project, what its kernelspecs were last written for."""
        self.secrets: Callable[[Project], dict[str, str]] = lambda _project: {}
        self.variables: list[Callable[[Project], dict[str, str]]] = []
        self.sources: Callable[[Principal, Project, Manifest], tuple[list[Path], list[str]]] = (
            lambda _principal, _project, _manifest: ([], [])
        )

    def manifest(self, project: Project) -> Manifest:
        """The project's manifest as it is now.

        Raises:
            ManifestFault: it has a fault.
        """
        return self._manifests.read(Path(project.path))

    def live(self, principal: Principal, project: Project, token_file: Path) -> Grant:
        """What a kernel is started with in the project's own folder.

        No fault of the project keeps it from starting; what is wrong is told in the kernel.
        """
        folder, notes = Path(project.path), list[str]()
        manifest = None
        try:
            manifest = self.manifest(project)
        except ManifestFault as fault:
            notes.append(f"The kernel runs without what himalia.toml says: {fault.detail} {fault.hint or ''}".strip())
        try:
            secrets = self.secrets(project)
        except Problem as problem:
            secrets = getattr(problem, "opened", {})
            notes.append(f"{problem.detail} {problem.hint or ''}".strip())
        paths = [folder / "src"]  # also one that is made later
        if manifest is not None:
            found, wrong = self.sources(principal, project, manifest)
            paths, notes = paths + found, [*notes, *wrong, *language_problems(manifest.kernel)]
            if self._written.get(project.id) != manifest.kernel:
                # what it says may have changed; the next kernel's name is looked up in what is written now
                try:
                    self.write_specs(project)
                    self._written[project.id] = manifest.kernel
                except OSError as error:
                    notes.append(f"The project's kernels cannot be written where Jupyter looks for them: {error}.")
        used = self.environment_of(project)
        if used.note:
            notes.append(used.note)
        return self._grant(project, used, token_file, folder, manifest, secrets, paths, notes)

    def snapshot(
        self, project: Project, token_file: Path, folder: Path, manifest: Manifest, used: Used | None = None
    ) -> Grant:
        """What a stage is started with in *folder*, which holds a snapshot that has this *manifest*.

        *used*: the environment of its run; absent: the site's own.

        Raises:
            Problem: a secret cannot be had: a stage does not run without.
        """
        paths = snapshot_paths(folder, manifest)
        used = used or shared(project)
        return self._grant(project, used, token_file, folder, manifest, self.secrets(project), paths, [])

    def _grant(
        self,
        project: Project,
        used: Used,
        token_file: Path,
        folder: Path,
        manifest: Manifest | None,
        secrets: dict[str, str],
        paths: list[Path],
        notes: list[str],
    ) -> Grant:
        table = manifest.kernel if manifest else KernelTable()
        env = self._environment(project, token_file)
        for more in self.variables:
            env = more(project) | env
        # ours go before: no secret can take a kernel to another site
        env = secrets | env
        if paths:
            env["HIMALIA_PATH"] = os.pathsep.join(str(path) for path in paths)
        if notes:
            env[NOTES] = "\n".join(" ".join(note.split()) for note in notes)
        return Grant(
            env=env,
            cwd=str(folder),
            python=used.python,
            environment=used.environment,
            zygote=self._zygote(table, used.environment),
            limits=LimitsGrant(memory_bytes=size(table.memory) if table.memory else None, cpus=table.cpus),
            pass_environment=table.pass_environment,
            secrets=sorted(secrets),
        )

    def _zygote(self, table: KernelTable, environment: EnvironmentGrant) -> ZygoteGrant | None:
        if table.preload == []:
            return None
        return ZygoteGrant(folder=str(self._zygotes()), preload=table.preload, key=environment.digest)

    def _zygotes(self) -> Path:
        return private_folder(self.context.site.zygotes)

    def start_view(self, project: Project, python: str) -> KernelStartView:
        """How the next kernel of a project whose interpreter is *python* starts.

        Raises:
            ManifestFault: the manifest has a fault.
        """
        return kernel_start(self._zygotes(), python, self.manifest(project).kernel.preload)

    def start_zygotes(self) -> None:
        """Start the zygotes that stages have missed: what a stage starts itself ends with it."""
        start_wanted(self._zygotes())

    def end_zygotes(self) -> None:
        """End them all; kernels go on."""
        end_all(self._zygotes())

    def _environment(self, project: Project, token_file: Path) -> dict[str, str]:
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

    def start(self, principal: Principal, project: Project, kernel_id: str, pid: int) -> KernelGrant:
        """A fresh token and environment for a kernel that starts, or starts again."""
        ticks = start_ticks(pid)
        if ticks is None:
            raise Invalid(f"There is no process {pid} on this machine.", field="pid")
        file = self.context.site.home / "tokens" / f"kernel-{kernel_id}"
        given = self.live(principal, project, file)
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
                Kernel(
                    id=kernel_id,
                    project_id=project.id,
                    token_id=token.id,
                    owner_pid=pid,
                    owner_ticks=ticks,
                    environment=given.environment.digest,
                )
            )
            change.audit("kernel.start", project, kernel_id)
            change.event("kernel.granted", kernel_id, {}, project)
        assert token.expires_at is not None
        return KernelGrant(
            **given.model_dump(),
            token_file=str(file),
            expires_at=datetime.fromtimestamp(token.expires_at, UTC).isoformat(),
        )

    def end(self, principal: Principal, project: Project, kernel_id: str) -> None:
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


def snapshot_paths(folder: Path, manifest: Manifest) -> list[Path]:
    """Folders to import from of a snapshot that lies in *folder*: its `src/`, then its components in their order."""
    names = [use.partition("@")[0] for use in manifest.project.uses]
    paths = [folder / "src", *(folder / COMPONENTS / name for name in names)]
    return [path for path in paths if path.is_dir()]
