"""What the client returns: projects, clusters, models, deployments. Runs and stages have modules of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from himalia._display import html_card, html_table, in_front_end, size, text_table
from himalia._errors import HimaliaError

if TYPE_CHECKING:
    from himalia._connection import Connection
    from himalia._dask import Client

CLUSTER_COLUMNS = ("name", "state", "workers", "threads", "memory", "profile")
MODEL_COLUMNS = ("version", "aliases")
T = TypeVar("T")


def _text(value: object) -> str:
    return "–" if value is None else str(value)


@dataclass(frozen=True)
class Stage:
    """A notebook of the pipeline."""

    name: str
    notebook: str


@dataclass(frozen=True)
class Project:
    """The project of this kernel, as the one who runs it may see it."""

    slug: str
    name: str
    path: str
    role: str
    stages: tuple[Stage, ...] = ()
    description: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Project:
        stages = tuple(Stage(str(item["name"]), str(item["notebook"])) for item in data.get("stages") or ())
        return cls(
            slug=str(data["slug"]),
            name=str(data.get("name") or data["slug"]),
            path=str(data.get("path") or ""),
            role=str(data.get("role") or ""),
            stages=stages,
            description=str(data.get("description") or ""),
        )

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("description", self.description),
            ("role", self.role),
            ("folder", self.path),
            ("slug", self.slug),
        ]

    def __repr__(self) -> str:
        lines = [f"Project {self.name}"]
        lines += [f"  {name}: {value}" for name, value in self._facts() if value]
        if self.stages:
            lines.append("  stages: " + ", ".join(f"{stage.name} ({stage.notebook})" for stage in self.stages))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        stages = html_table(("stage", "notebook"), [(s.name, s.notebook) for s in self.stages])
        return html_card(f"Project {self.name}", self._facts(), stages if self.stages else "")


@dataclass
class Cluster:
    """A Dask cluster of the project. ``memory_bytes`` is the sum over its workers, in bytes."""

    name: str
    state: str
    workers: int | None = None
    threads: int | None = None
    memory_bytes: int | None = None
    profile: str = ""
    address: str = ""
    _connection: Connection | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], connection: Connection | None = None) -> Cluster:
        return cls(
            name=str(data["name"]),
            state=str(data.get("state") or "unknown"),
            workers=data.get("workers"),
            threads=data.get("threads"),
            memory_bytes=data.get("memory_bytes"),
            profile=str(data.get("profile") or ""),
            address=str(data.get("address") or ""),
            _connection=connection,
        )

    def client(self) -> Client:
        """Connect to this cluster; see :func:`himalia.client`."""
        return self._owner().client(self.name)

    def scale(self, workers: int) -> Cluster:
        """Ask for *workers* workers; returns this cluster with its new state."""
        return self._take(self._owner().scale_cluster(self.name, workers))

    def stop(self) -> None:
        """Stop the cluster. Work that runs on it is lost."""
        self._owner().stop_cluster(self.name)
        self.state = "stopped"

    def refresh(self) -> Cluster:
        """Ask the service for the present state; a cluster that is gone is ``stopped``."""
        present = {cluster.name: cluster for cluster in self._owner().clusters()}
        if self.name in present:
            return self._take(present[self.name])
        self.state = "stopped"
        return self

    def _owner(self) -> Connection:
        if self._connection is None:
            raise ValueError("this cluster was not got from the service")
        return self._connection

    def _take(self, other: Cluster) -> Cluster:
        self.state, self.workers, self.threads = other.state, other.workers, other.threads
        self.memory_bytes, self.address = other.memory_bytes, other.address
        return self

    def _cells(self) -> tuple[str, ...]:
        return (
            self.name,
            self.state,
            _text(self.workers),
            _text(self.threads),
            size(self.memory_bytes),
            self.profile or "–",
        )

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in zip(CLUSTER_COLUMNS[2:], self._cells()[2:], strict=True))
        return f"Cluster {self.name}: {self.state}, {facts}"

    def _repr_html_(self) -> str:
        return html_card(f"Cluster {self.name}", list(zip(CLUSTER_COLUMNS[1:], self._cells()[1:], strict=True)))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """Live controls where someone can use them; elsewhere the plain displays above are taken."""
        if self._connection is None or not in_front_end():
            return {}
        try:
            from himalia._widgets import cluster_panel
        except ImportError:  # ipywidgets is optional in a project's environment
            return {}
        bundle = cluster_panel(self)._repr_mimebundle_()
        return {**(bundle or {}), "text/plain": repr(self), "text/html": self._repr_html_()}


@dataclass(frozen=True)
class ModelVersion:
    """A version in the registry. ``aliases``: the names that point to it, such as ``champion``."""

    version: str
    aliases: tuple[str, ...] = ()
    metrics: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Model:
    """A registered model; ``versions`` are newest first."""

    name: str
    versions: tuple[ModelVersion, ...] = ()
    _connection: Connection | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], connection: Connection | None = None) -> Model:
        versions = [
            ModelVersion(str(item["version"]), tuple(item.get("aliases") or ()), item.get("metrics"))
            for item in data.get("versions") or ()
        ]
        versions.sort(key=lambda version: int(version.version), reverse=True)
        return cls(str(data["name"]), tuple(versions), connection)

    def version(self, alias: str) -> ModelVersion | None:
        """The version that *alias* points to; None when there is none."""
        return next((version for version in self.versions if alias in version.aliases), None)

    def wait_for(self, alias: str, timeout: float = 600.0) -> Model:
        """Wait until a person has pointed *alias* to a version; code in a kernel may not do it itself.

        *timeout* is in seconds. Raises HimaliaError when it is over.
        """
        if self._connection is None:
            raise ValueError("this model was not got from the service")
        connection = self._connection
        return wait_until(
            lambda: connection.model(self.name),
            lambda model: model.version(alias) is not None,
            timeout,
            f"No version of {self.name} has been made the {alias} yet",
            f"Choose one in Himalia's sidebar, under Models, or in a terminal: himalia model alias {self.name} {alias} "
            f"VERSION -p {connection.slug}. Then run this cell again.",
        )

    def _rows(self) -> list[tuple[str, str]]:
        return [(version.version, ", ".join(version.aliases) or "–") for version in self.versions]

    def __repr__(self) -> str:
        return f"Model {self.name}\n{text_table(MODEL_COLUMNS, self._rows())}"

    def _repr_html_(self) -> str:
        return html_card(f"Model {self.name}", [], html_table(MODEL_COLUMNS, self._rows()))


@dataclass(frozen=True)
class Deployment:
    """An endpoint that serves a model version."""

    name: str
    state: str
    model_name: str
    model_version: str
    url: str
    project: str = ""
    requested_version: str | None = None
    """A version that was asked for and waits for somebody who may deploy."""
    error: str = ""
    """Why it does not answer."""
    _connection: Connection | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], connection: Connection | None = None) -> Deployment:
        return cls(
            name=str(data["name"]),
            state=str(data.get("state") or "unknown"),
            model_name=str(data.get("model_name") or ""),
            model_version=str(data.get("model_version") or ""),
            url=str(data.get("url") or ""),
            project=str(data.get("project") or ""),
            requested_version=data.get("requested_version"),
            error=str(data.get("error") or ""),
            _connection=connection,
        )

    def refresh(self) -> Deployment:
        """The endpoint as it is now."""
        return self._owner().deployment(self.name)

    def wait(self, timeout: float = 600.0) -> Deployment:
        """Wait until what was asked for is confirmed and answers; returns the endpoint as it is then.

        *timeout* is in seconds. Raises HimaliaError when it is over, or when the model cannot be served.
        """
        found = wait_until(
            self.refresh,
            lambda now: not now.requested_version and now.state in ("ready", "failed"),
            timeout,
            f"The endpoint {self.name} is not ready yet",
            "If a version waits there, confirm it in Himalia's sidebar, under Deployments. Then run this cell again.",
        )
        if found.state == "failed":
            raise HimaliaError(
                None, f"The endpoint {self.name} failed", found.error, "Look at it in Himalia's sidebar."
            )
        return found

    def predict(self, data: Any) -> list[Any]:
        """The endpoint's answers for a DataFrame, or for a list of rows as dicts: one answer a row.

        Raises HimaliaError when the rows do not fit the model's signature, or the endpoint is not ready.
        """
        answer = self._owner().predict(self.name, invocation(data))
        return list(answer["predictions"])

    def _owner(self) -> Connection:
        if self._connection is None:
            raise ValueError("this endpoint was not got from the service")
        return self._connection

    def _facts(self) -> list[tuple[str, str]]:
        facts = [
            ("state", self.state),
            ("model", f"{self.model_name} {self.model_version}"),
            ("url", self.url),
            ("error", self.error),
        ]
        if self.requested_version:
            command = f"himalia deployment confirm {self.name} {self.requested_version} -p {self.project}"
            facts.append((f"version {self.requested_version}", f"waits for a person to confirm it: {command}"))
        return facts

    def __repr__(self) -> str:
        return f"Deployment {self.name}: " + ", ".join(f"{name} {value}" for name, value in self._facts() if value)

    def _repr_html_(self) -> str:
        return html_card(f"Deployment {self.name}", self._facts())


def invocation(data: Any) -> dict[str, Any]:
    """Rows as MLflow's /invocations takes them: from a DataFrame, or from a list of dicts."""
    if hasattr(data, "to_json"):  # pandas knows how its numbers and gaps are written
        split = json.loads(data.to_json(orient="split", index=False))
        return {"dataframe_split": {"columns": split["columns"], "data": split["data"]}}
    if isinstance(data, Mapping) or not all(isinstance(row, Mapping) for row in data):
        raise HimaliaError(
            None, "Rows are a DataFrame or a list of dicts", "", 'For example [{"alcohol": 13.2, "hue": 1.0}].'
        )
    return {"dataframe_records": [dict(row) for row in data]}


def wait_until(ask: Callable[[], T], done: Callable[[T], bool], timeout: float, late: str, hint: str) -> T:
    """What *ask* gives once it is *done*. Raises HimaliaError(*late*, *hint*) after *timeout* seconds."""
    deadline = time.monotonic() + timeout
    pause = 0.2
    while not done(found := ask()):
        if time.monotonic() + pause > deadline:
            raise HimaliaError(None, late, f"waited {timeout:g} s", hint)
        time.sleep(pause)
        pause = min(1.5 * pause, 2.0)
    return found
