"""MLflow as a child of the service, one workspace a project."""

from __future__ import annotations

import logging
import math
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..service.auth import Principal
from ..service.children import ChildSpec
from ..service.context import Context
from ..service.environment import child_environment
from ..service.problems import Invalid, NotFound, Unavailable, nearest
from ..service.site import cache_folder, private_folder
from ..store import Project
from .client import MlflowClient
from .entities import Run
from .errors import DatabaseError, MlflowError, MlflowUnavailable
from .models import ModelVersionView, ModelView
from .scratches import Scratches
from .server import mlflow_command, mlflow_environment

log = logging.getLogger(__name__)
CHILD = "mlflow"
PREPARATION = "mlflow-prepare"
NICE = 10
"""MLflow starts in the background of a lab that somebody wants to use."""
HANGING_SECONDS = 120.0
"""An MLflow that does not answer for so long does not work at something."""
FIRST_PATIENCE, LONGEST_PATIENCE = 10.0, 300.0
"""Seconds to wait before MLflow is tried again that could not be started."""
HEALTH_SECONDS = 2.0
WORKSPACE_SECONDS = 5.0
RUN_TAG = "himalia.run"
"""Of a stage's run: the id of the pipeline's."""
NEWEST = 5
"""Versions of a model, from the newest, that are told with their metrics."""


class TrackingUnavailable(RuntimeError):
    """MLflow does not answer."""


class Tracking:
    """The logic of the room."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.socket = context.site.runtime / "mlflow.sock"
        self.scratch = Scratches(self.socket, self._artifacts)
        self._workspaces: set[str] = set()
        self._experiments: dict[str, str] = {}
        self._lock = threading.Lock()
        self.failure: str | None = None
        self._starter: threading.Thread | None = None
        self._next_try = 0.0
        self._patience = FIRST_PATIENCE
        self._silent_since: float | None = None

    def start(self) -> None:
        """Start MLflow in the background, unless it was adopted."""
        self._starter = threading.Thread(target=self._start, name="mlflow-start", daemon=True)
        self._starter.start()

    def repair(self) -> None:
        """Start MLflow again when it could not be started, and when it hangs."""
        if self._starter is not None and self._starter.is_alive():
            return
        if self.context.children.get(CHILD) is None:
            if time.monotonic() >= self._next_try:
                self.start()
            return
        if self.wait(0):
            self._silent_since = None
        elif self._silent_since is None or not self.context.children.alive(CHILD):
            self._silent_since = time.monotonic()
        elif time.monotonic() - self._silent_since > HANGING_SECONDS:
            log.warning("MLflow lives but does not answer; it is started again")
            self._silent_since = None
            self.context.children.restart(CHILD)

    def _start(self) -> None:
        try:
            if not self.context.children.alive(CHILD):
                self._prepare()
                self.context.children.ensure(self._spec())
            deadline = time.monotonic() + HANGING_SECONDS
            while not self.wait(5):
                if self.context.children.get(CHILD) is None or time.monotonic() > deadline:
                    return
        except (OSError, RuntimeError) as error:
            if self.context.stopping.is_set():
                return
            log.exception("MLflow could not be started")
            self._next_try = time.monotonic() + self._patience
            self._patience = min(LONGEST_PATIENCE, self._patience * 2)
            if self.failure != str(error):
                self.failure = str(error)
                self._tell("failed", str(error))
            return
        self.failure, self._patience = None, FIRST_PATIENCE
        self._tell("running", None)

    def _prepare(self) -> None:
        """Make or migrate MLflow's database, in a child, so that it ends when the service is told to end.

        Raises:
            DatabaseError: it cannot be used; the text says why.
        """
        site = self.context.site
        command = [sys.executable, "-m", "himalia_server.tracking.server"]
        self.context.children.ensure(
            ChildSpec(
                name=PREPARATION,
                argv=[*command, str(site.tracking_database), str(cache_folder())],
                env=child_environment(TMPDIR=str(self._temporary())),
                cwd=str(site.home),
                nice=NICE,
            )
        )
        end = self.context.children.wait(PREPARATION)
        self.context.children.forget(PREPARATION)
        if end is None or end.code != 0:
            lines = site.log(PREPARATION).read_text(errors="replace").strip().splitlines()
            raise DatabaseError(lines[-1] if lines else "MLflow's database could not be prepared.")

    def _temporary(self) -> Path:
        """MLflow leaves lock files in the temporary folder: here they go with the runtime folder."""
        return private_folder(self.context.site.runtime / "mlflow-tmp")

    def _spec(self) -> ChildSpec:
        site = self.context.site
        return ChildSpec(
            name=CHILD,
            argv=mlflow_command(sys.executable, self.socket),
            env=child_environment(TMPDIR=str(self._temporary()))
            | mlflow_environment(site.tracking_database, self._artifacts),
            cwd=str(site.home),
            keep=True,
            nice=NICE,
            sockets=[str(self.socket)],
        )

    def wait(self, timeout: float) -> bool:
        """Whether MLflow answers, waiting at most *timeout* seconds for it."""
        deadline = time.monotonic() + timeout
        client = MlflowClient(self.socket, "", HEALTH_SECONDS)
        while True:
            try:
                client.health()
                return True
            except (MlflowUnavailable, MlflowError):
                pass  # not yet
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)

    def client(self, project: Project) -> MlflowClient:
        """A client in the project's workspace, which is made when it is missing.

        Raises:
            TrackingUnavailable: MLflow does not answer.
        """
        if project.slug not in self._workspaces:
            # outside of any lock and not for long: an MLflow that hangs must hang nothing else
            try:
                MlflowClient(self.socket, project.slug, WORKSPACE_SECONDS).ensure_workspace(project.slug)
            except (MlflowUnavailable, MlflowError) as error:
                raise TrackingUnavailable(str(error)) from error
            with self._lock:
                self._workspaces.add(project.slug)
        return MlflowClient(self.socket, project.slug)

    def ready(self, project: Project) -> None:
        """Make sure that the project's workspace exists before something is forwarded to it.

        Raises:
            TrackingUnavailable: MLflow does not answer (yet).
        """
        if project.slug not in self._workspaces:
            self.client(project)

    @property
    def _artifacts(self) -> Path:
        return self.context.site.home / "mlflow-artifacts"

    def require(self, _project: Project) -> None:
        """Refuse while MLflow does not answer.

        Raises:
            Unavailable: it does not.
        """
        if not self.wait(0):
            raise Unavailable("MLflow is starting.", hint="Try again in a few seconds.")

    def delete(self, project: Project) -> None:
        """Forget a project's experiments, models and artifacts (it is being deleted).

        Raises:
            Unavailable: MLflow does not answer, or refuses now.
        """
        try:
            self.client(project).delete_workspace(project.slug)
        except (TrackingUnavailable, MlflowUnavailable, MlflowError) as error:
            if not (isinstance(error, MlflowError) and error.code == "RESOURCE_DOES_NOT_EXIST"):
                raise Unavailable(
                    f"The project's runs and models cannot be removed from MLflow now: {error}",
                    hint="Try again in a few seconds.",
                ) from error
        with self._lock:
            self._workspaces.discard(project.slug)
            self._experiments.pop(project.slug, None)
        # MLflow keeps the files, and a later project of this name would see them
        files = self._artifacts / "workspaces" / project.slug
        if files.exists():
            shutil.rmtree(files)

    def start_stage_run(self, project: Project, run_id: str, stage: str) -> str:
        """An MLflow run for a stage; returns its id.

        Raises:
            TrackingUnavailable: MLflow does not answer.
        """
        tags = {RUN_TAG: run_id, "himalia.stage": stage, "mlflow.source.type": "NOTEBOOK"}
        try:
            client = self.client(project)
            experiment = self._experiments.get(project.slug) or client.get_or_create_experiment(project.slug)
            self._experiments[project.slug] = experiment
            return client.create_run(experiment, stage, tags)
        except (MlflowUnavailable, MlflowError) as error:
            raise TrackingUnavailable(str(error)) from error

    def end_stage_run(
        self, project: Project, tracking_run: str, params: dict[str, Any], status: str, notebook: Path | None
    ) -> None:
        """Record parameters, status and the executed notebook of a stage.

        Raises:
            TrackingUnavailable: MLflow does not answer, or refuses.
        """
        try:
            client = self.client(project)
            client.log_params(tracking_run, {key: str(value) for key, value in params.items()})
            client.set_tag(tracking_run, "himalia.status", status)
            if notebook is not None:
                client.log_artifact_file(tracking_run, "notebook", notebook)
            ended = {"succeeded": "FINISHED", "cancelled": "KILLED"}.get(status, "FAILED")
            client.end_run(tracking_run, ended)
        except (MlflowUnavailable, MlflowError) as error:
            raise TrackingUnavailable(str(error)) from error

    def metrics_of(self, project: Project, tracking_run: str) -> dict[str, float]:
        """The last value of each metric of an MLflow run; none when the run was deleted.

        Raises:
            Unavailable: MLflow does not answer.
        """
        client = self._client_or_503(project)
        try:
            return _finite(client.get_run(tracking_run).metrics)
        except MlflowError:
            return {}
        except MlflowUnavailable as error:
            raise Unavailable("MLflow does not answer.", hint="Try again in a few seconds.") from error

    def count_models(self, project: Project) -> tuple[int, int] | None:
        """How many registered models and versions a project has; None while MLflow does not answer."""
        try:
            models = self.models(project)
        except Unavailable:
            return None
        return len(models), sum(len(model.versions) for model in models)

    def models(self, project: Project) -> list[ModelView]:
        """Registered models with their versions and aliases, newest version first."""
        with _problems():
            client = self._client_or_503(project)
            return [_model_view(model, _runs_of(client, model)) for model in client.list_models()]

    def set_alias(self, principal: Principal, project: Project, name: str, alias: str, version: str) -> ModelView:
        """Point an alias to a version.

        Raises:
            NotFound: there is no such model or version.
        """
        known = {model.name: model for model in self.models(project)}
        if name not in known:
            raise NotFound(f"There is no model {name!r} in {project.slug}.", hint=nearest(name, known), field="name")
        versions = [entry.version for entry in known[name].versions]
        if version not in versions:
            raise NotFound(
                f"The model {name!r} has no version {version}.",
                hint=nearest(version, versions),
                field="version",
            )
        with _problems():
            self._client_or_503(project).set_alias(name, alias, version)
        with self.context.change(principal) as change:
            change.audit("model.alias", project, name, alias=alias, version=version)
            change.event("model.alias", name, {"alias": alias, "version": version}, project)
        return next(model for model in self.models(project) if model.name == name)

    def resolve(self, project: Project, uri: str) -> tuple[str, str]:
        """Name and version behind `models:/name@alias` or `models:/name/3`.

        Raises:
            Invalid: it is neither. NotFound: there is no such model, alias or version.
        """
        path = uri.removeprefix("models:/")
        name, at, alias = path.partition("@")
        if path == uri or (not at and path.count("/") != 1):
            raise Invalid(
                f"{uri!r} names no model.",
                hint="Write models:/NAME@ALIAS or models:/NAME/VERSION.",
                field="model",
            )
        if not at:
            name, _, version = path.partition("/")
        known = {model.name: model for model in self.models(project)}
        if name not in known:
            raise NotFound(f"There is no model {name!r} in {project.slug}.", hint=nearest(name, known), field="model")
        for entry in known[name].versions:
            if (at and alias in entry.aliases) or (not at and entry.version == version):
                return name, entry.version
        aliases = [a for entry in known[name].versions for a in entry.aliases]
        missing = (alias, aliases) if at else (version, [entry.version for entry in known[name].versions])
        what = "alias" if at else "version"
        raise NotFound(
            f"The model {name!r} has no {what} {missing[0]!r}.",
            hint=nearest(missing[0], missing[1]),
            field="model",
        )

    def pipeline_run(self, project: Project, name: str, version: str) -> str | None:
        """The run of the project's pipeline that made a model version; None when it was made elsewhere."""
        with _problems():
            client = self._client_or_503(project)
            models = (model for model in client.list_models() if model["name"] == name)
            versions = (entry for model in models for entry in model["versions"] if str(entry["version"]) == version)
            run_id = next((entry.get("run_id") for entry in versions), None)
            if not run_id:
                return None
            try:
                return client.get_run(run_id).tags.get(RUN_TAG)
            except MlflowError:
                return None  # deleted in MLflow; the version lives on without it

    def download(self, project: Project, name: str, version: str, target: Path) -> None:
        """Fetch the files of a model version into *target*."""
        with _problems():
            self._client_or_503(project).download_model(name, version, target)

    def _client_or_503(self, project: Project) -> MlflowClient:
        try:
            return self.client(project)
        except TrackingUnavailable as error:
            raise Unavailable("MLflow is starting.", hint="Try again in a few seconds.") from error

    def _tell(self, state: str, error: str | None) -> None:
        with self.context.change() as change:
            change.event("tracking.state", CHILD, {"state": state, "error": error})


class _problems:  # noqa: N801 - reads as a statement: with _problems()
    """Turns MLflow's errors into ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MlflowUnavailable):
            raise Unavailable("MLflow does not answer.", hint="Try again in a few seconds.") from error
        if isinstance(error, MlflowError):
            raise Invalid(f"MLflow refused: {error}") from error


def _runs_of(client: MlflowClient, model: dict[str, Any]) -> dict[str, Run]:
    """The runs that made the versions people ask about: those with an alias, and the newest."""
    named = set(model["aliases"].values())
    wanted = [entry for place, entry in enumerate(model["versions"]) if place < NEWEST or entry["version"] in named]
    runs = {}
    for run_id in {entry["run_id"] for entry in wanted if entry.get("run_id")}:
        try:
            runs[run_id] = client.get_run(run_id)
        except MlflowError:
            continue  # deleted in MLflow; the version lives on without it
    return runs


def _model_view(model: dict[str, Any], runs: dict[str, Run]) -> ModelView:
    by_version: dict[str, list[str]] = {}
    for alias, version in model["aliases"].items():
        by_version.setdefault(str(version), []).append(alias)
    versions = [
        ModelVersionView(
            version=str(entry["version"]),
            aliases=sorted(by_version.get(str(entry["version"]), [])),
            run_id=entry.get("run_id"),
            run_name=runs[entry["run_id"]].name if entry.get("run_id") in runs else None,
            metrics=_finite(runs[entry["run_id"]].metrics) if entry.get("run_id") in runs else None,
            created_at=entry["created_ms"] / 1000 if entry.get("created_ms") else None,
        )
        for entry in model["versions"]
    ]
    return ModelView(name=model["name"], versions=sorted(versions, key=lambda entry: -int(entry.version)))


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """JSON has no word for the others."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
