"""A project as its kernel sees it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from himalia._display import Listing
from himalia._errors import HimaliaError, NotInProject
from himalia._http import Transport, segment
from himalia._resources import CLUSTER_COLUMNS, Cluster, Deployment, Model, Project
from himalia._runs import RUN_COLUMNS, Run
from himalia._stages import Pipeline, StageDiff, StageState

if TYPE_CHECKING:
    from himalia._dask import Client

MODEL = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[1-9][0-9]*))")
EDIT_TRIES = 3
START_CLUSTER = "Start one with `%cluster start`, or `himalia.start_cluster(name, workers=2)`."


def connect(patience: float = 30.0) -> Connection:
    """The project of this kernel.

    *patience* is how many seconds a request is repeated while the service is starting. Raises NotInProject in
    a process that no Himalia kernel started.
    """
    url, project, token_file = (
        os.environ.get(name) for name in ("HIMALIA_URL", "HIMALIA_PROJECT", "HIMALIA_TOKEN_FILE")
    )
    if not (url and project and token_file):
        raise _not_in_project()
    return Connection(project, Transport(url, Path(token_file), patience))


def _not_in_project() -> NotInProject:
    reason = os.environ.get("HIMALIA_GRANT_ERROR")
    if reason:
        return NotInProject(
            None,
            "This kernel started without its project",
            reason,
            "When that is put right, restart the kernel.",
        )
    return NotInProject(
        None,
        "This Python process belongs to no Himalia project",
        "",
        "In JupyterLab choose the project's kernel (Kernel > Change Kernel…). Elsewhere, start the notebook "
        "with the project's kernel where himalia is installed beside Jupyter.",
    )


@dataclass
class Connection:
    """A project and the requests one can make in its name."""

    slug: str
    transport: Transport

    def _call(self, method: str, path: str = "", body: object = None) -> Any:
        return self.transport.request(method, f"/api/v1/projects/{segment(self.slug)}{path}", body)

    def _items(self, path: str) -> list[Any]:
        """All items of a list, page by page."""
        page = self._call("GET", path)
        items: list[Any] = page["items"]
        while (following := page.get("next")) is not None:
            page = self._call("GET", f"{path}?cursor={segment(following)}")
            items += page["items"]
        return items

    def project(self) -> Project:
        """The project: slug, name, path, stages, and the role this kernel has in it."""
        return Project.from_json(self._call("GET"))

    def clusters(self) -> Listing[Cluster]:
        """The Dask clusters attached to the project."""
        clusters = [Cluster.from_json(item, self) for item in self._items("/clusters")]
        return Listing(clusters, CLUSTER_COLUMNS, f"No cluster yet. {START_CLUSTER}")

    def start_cluster(
        self,
        name: str,
        workers: int | None = None,
        threads_per_worker: int | None = None,
        memory_limit: str | int | None = None,
    ) -> Cluster:
        """Start a Dask cluster for the project.

        *memory_limit* is per worker: bytes, or text such as ``"2GiB"``. What is None comes from the profile.
        """
        asked = {
            "name": name,
            "workers": workers,
            "threads_per_worker": threads_per_worker,
            "memory_limit": f"{memory_limit}B" if isinstance(memory_limit, int) else memory_limit,
        }
        body = {key: value for key, value in asked.items() if value is not None}
        return Cluster.from_json(self._call("POST", "/clusters", body), self)

    def scale_cluster(self, name: str, workers: int) -> Cluster:
        """Ask for *workers* workers."""
        return Cluster.from_json(self._call("PATCH", f"/clusters/{segment(name)}", {"workers": workers}), self)

    def stop_cluster(self, name: str) -> None:
        """Stop a cluster. Work that runs on it is lost."""
        self._call("DELETE", f"/clusters/{segment(name)}")

    def default_cluster(self) -> Cluster:
        """The kernel's own cluster (HIMALIA_CLUSTER) if it is there, else the project's only one.

        Raises HimaliaError when there is none, or several of which none is the kernel's.
        """
        present = self.clusters()
        wanted = os.environ.get("HIMALIA_CLUSTER")
        chosen = [cluster for cluster in present if cluster.name == wanted] or present
        if not chosen:
            raise HimaliaError(None, f"The project {self.slug} has no cluster", "", START_CLUSTER)
        if len(chosen) > 1:
            names = ", ".join(cluster.name for cluster in chosen)
            raise HimaliaError(
                None,
                f"The project {self.slug} has several clusters",
                names,
                f'Say which: himalia.client("{chosen[0].name}") or %cluster client {chosen[0].name}',
            )
        return chosen[0]

    def client(self, cluster: str | None = None, timeout: float = 60.0) -> Client:
        """Connect to a Dask cluster, the default one unless named; see :func:`himalia.client`."""
        from himalia import _dask

        _dask.require()
        found = self._named(cluster) if cluster else self.default_cluster()
        deadline = time.monotonic() + timeout
        while found.state == "starting" and time.monotonic() < deadline:
            time.sleep(0.5)
            found.refresh()
        secrets = self._call("GET", f"/clusters/{segment(found.name)}/connection")
        return _dask.open_client(secrets, self.slug)

    def _named(self, name: str) -> Cluster:
        present = self.clusters()
        for cluster in present:
            if cluster.name == name:
                return cluster
        known = ", ".join(cluster.name for cluster in present)
        hint = f"Its clusters are: {known}." if known else START_CLUSTER
        raise HimaliaError(404, f"The project {self.slug} has no cluster {name!r}", "", hint)

    def deploy(self, model: str, name: str | None = None) -> Deployment:
        """Serve a registered model: ``models:/name@alias`` or ``models:/name/3``.

        The endpoint is called *name*, or like the model. Raises HimaliaError for another form of *model*.
        """
        match = MODEL.fullmatch(model)
        if match is None:
            raise HimaliaError(
                None,
                f"{model!r} is not a registered model",
                "",
                "Write models:/name@alias or models:/name/3, for example models:/flights@champion.",
            )
        endpoint = name or endpoint_name(match["name"])
        return Deployment.from_json(self._call("POST", "/deployments", {"name": endpoint, "model": model}), self)

    def deployment(self, name: str) -> Deployment:
        """An endpoint of the project, as it is now."""
        return Deployment.from_json(self._call("GET", f"/deployments/{segment(name)}"), self)

    def predict(self, name: str, document: Mapping[str, object]) -> Any:
        """Ask an endpoint with a document as MLflow's /invocations takes it: ``{"predictions": [...], ...}``."""
        return self._call("POST", f"/deployments/{segment(name)}/predict", dict(document))

    def model(self, name: str) -> Model:
        """A registered model with its versions. Raises HimaliaError when there is none of that name."""
        items = self._items("/models")
        for item in items:
            if item["name"] == name:
                return Model.from_json(item, self)
        known = ", ".join(str(item["name"]) for item in items)
        hint = f"Its models are: {known}." if known else "mlflow's log_model(…, registered_model_name=…) registers one."
        raise HimaliaError(404, f"The project {self.slug} has no model {name!r}", "", hint)

    def runs(self) -> Listing[Run]:
        """The latest runs of the project's pipeline."""
        items = [Run.from_json(item, self) for item in self._call("GET", "/runs")["items"]]
        return Listing(items, RUN_COLUMNS, "No run yet. Start one from the Pipeline panel.")

    def start_run(
        self,
        params: Mapping[str, Mapping[str, object]] | None = None,
        *,
        only: Sequence[str] = (),
        from_: Sequence[str] = (),
        to: Sequence[str] = (),
        force: bool = False,
        keep_going: bool = False,
        parallel: int | None = None,
    ) -> Run:
        """Run what is not up to date of the pipeline; see :func:`himalia.start_run`."""
        given = {
            "only": _names("only", only),
            "from": _names("from_", from_),
            "to": _names("to", to),
            "force": force,
            "keep_going": keep_going,
            "parallel": parallel,
        }
        body: dict[str, object] = {"params": {stage: dict(values) for stage, values in (params or {}).items()}}
        options = {key: value for key, value in given.items() if value not in ([], False, None)}
        if options:
            body["options"] = options
        return Run.from_json(self._call("POST", "/runs", body), self)

    def cancel_run(self, run_id: str) -> Run:
        """Stop a run."""
        return Run.from_json(self._call("POST", f"/runs/{segment(run_id)}/cancel"), self)

    def pipeline(self) -> Pipeline:
        """The stages, each after those it waits for, and what a run would do now."""
        return Pipeline.from_json(self._call("GET", "/pipeline"))

    def stage_changes(self, stage: str) -> StageDiff:
        """What has changed since the last result of a stage. Raises HimaliaError when there is no such stage."""
        return StageDiff.from_json(self._call("GET", f"/pipeline/stages/{segment(stage)}/changes"))

    def add_stage(self, name: str, settings: Mapping[str, object]) -> StageState:
        """Write a new table [stages.NAME] into himalia.toml; *settings* are its keys, ``notebook`` among them.

        Raises HimaliaError when there is such a stage already, or the file would have a fault: nothing is written.
        """
        edit: dict[str, object] = {"op": "add_stage", "path": ["stages", name], "value": dict(settings)}
        self._edit_manifest(lambda: [edit])
        return self._stage(name)

    def set_stage(self, name: str, settings: Sequence[tuple[Sequence[str], object]]) -> StageState:
        """Change keys of a stage in himalia.toml: ``[(["params", "seed"], 7)]``. Comments and order stay.

        Raises HimaliaError when there is no such stage, or the file would have a fault: nothing is written.
        """

        def edits() -> list[dict[str, object]]:
            self._require_stage(name)
            return [{"op": "set", "path": ["stages", name, *keys], "value": value} for keys, value in settings]

        self._edit_manifest(edits)
        return self._stage(name)

    def remove_stage(self, name: str) -> Pipeline:
        """Take a stage out of himalia.toml; its notebook stays. Raises HimaliaError when others are after it."""

        def edits() -> list[dict[str, object]]:
            self._require_stage(name)
            return [{"op": "remove", "path": ["stages", name]}]

        self._edit_manifest(edits)
        return self.pipeline()

    def _edit_manifest(self, edits: Callable[[], list[dict[str, object]]]) -> None:
        """Make changes of keys in the file as it is now; who changes it at the same time loses nothing."""
        for _ in range(EDIT_TRIES):
            base = self._call("GET", "/manifest")["digest"]
            try:
                self._call("PATCH", "/manifest", {"base_digest": base, "edits": edits()})
                return
            except HimaliaError as error:
                # 409 is also what an archived project answers: only a file that has changed is worth another try
                if error.status != 409 or self._call("GET", "/manifest")["digest"] == base:
                    raise
        raise HimaliaError(None, "himalia.toml changes all the time", "", "Try again when it is at rest.")

    def _require_stage(self, name: str) -> None:
        known = [stage.name for stage in self.project().stages]
        if name not in known:
            hint = f"Its stages are: {', '.join(known)}." if known else "It has none yet: %stage --add NAME"
            raise HimaliaError(404, f"The project {self.slug} has no stage {name!r}", "", hint)

    def _stage(self, name: str) -> StageState:
        return next(stage for stage in self.pipeline() if stage.name == name)

    def run(self, run_id: str) -> Run:
        """A run of the pipeline, as it is now."""
        return Run.from_json(self._call("GET", f"/runs/{segment(run_id)}"), self)


def _names(option: str, given: Sequence[str]) -> list[str]:
    if isinstance(given, str):
        raise TypeError(f"{option} is a list of stages: [{given!r}]")
    return list(given)


def endpoint_name(model: str) -> str:
    """A name for the endpoint of a model: lower case, with hyphens for what an address cannot hold."""
    name = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:63].strip("-")
    return name or "model"
