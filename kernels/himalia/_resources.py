"""What the client returns: projects, clusters, deployments, runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from himalia._display import html_card, html_table, in_front_end, size

if TYPE_CHECKING:
    from himalia._connection import Connection
    from himalia._dask import Client

CLUSTER_COLUMNS = ("name", "state", "workers", "threads", "memory", "profile")
RUN_COLUMNS = ("id", "state", "created")


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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Deployment:
        return cls(
            name=str(data["name"]),
            state=str(data.get("state") or "unknown"),
            model_name=str(data.get("model_name") or ""),
            model_version=str(data.get("model_version") or ""),
            url=str(data.get("url") or ""),
            project=str(data.get("project") or ""),
            requested_version=data.get("requested_version"),
        )

    def _facts(self) -> list[tuple[str, str]]:
        facts = [
            ("state", self.state),
            ("model", f"{self.model_name} {self.model_version}"),
            ("url", self.url),
        ]
        if self.requested_version:
            command = f"himalia deployment confirm {self.name} {self.requested_version} -p {self.project}"
            facts.append((f"version {self.requested_version}", f"waits for a person to confirm it: {command}"))
        return facts

    def __repr__(self) -> str:
        return f"Deployment {self.name}: " + ", ".join(f"{name} {value}" for name, value in self._facts() if value)

    def _repr_html_(self) -> str:
        return html_card(f"Deployment {self.name}", self._facts())


@dataclass(frozen=True)
class Run:
    """One execution of the pipeline; ``data`` is the service's whole document."""

    id: str
    state: str
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Run:
        identity = data.get("id") or data.get("run_id") or ""
        return cls(str(identity), str(data.get("state") or data.get("status") or "unknown"), dict(data))

    def _cells(self) -> tuple[str, ...]:
        return (self.id, self.state, _text(self.data.get("created_at")))

    def _repr_html_(self) -> str:
        return html_card(f"Run {self.id}", list(zip(RUN_COLUMNS[1:], self._cells()[1:], strict=True)))
