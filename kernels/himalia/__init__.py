"""Himalia inside a project's kernel: the project, its Dask clusters, its runs and deployments.

>>> import himalia
>>> himalia.project()
>>> client = himalia.client()
>>> client.gather(client.map(lambda x: x**2, range(10)))

Importing this package needs the standard library only; a function that needs more names the package.
``%load_ext himalia`` adds the magics ``%project``, ``%pipeline``, ``%stage``, ``%cluster`` and ``%deploy``; a
project's kernel does it by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from himalia._errors import HimaliaError, MissingPackage, NotInProject, ServiceUnreachable
from himalia._version import __version__

if TYPE_CHECKING:
    from himalia._connection import Connection
    from himalia._dask import Client
    from himalia._display import Listing
    from himalia._resources import Cluster, Deployment, Model, Project
    from himalia._runs import Run
    from himalia._stages import Pipeline

__all__ = [
    "HimaliaError",
    "MissingPackage",
    "NotInProject",
    "ServiceUnreachable",
    "__version__",
    "client",
    "clusters",
    "connect",
    "deploy",
    "deployment",
    "load_ipython_extension",
    "model",
    "pipeline",
    "project",
    "runs",
    "start_cluster",
    "start_run",
]


def connect(patience: float = 30.0) -> Connection:
    """The project of this kernel, as an object with the functions below as methods.

    *patience*: for how many seconds a request is repeated while the service is starting. Raises NotInProject
    in a process that no Himalia kernel started.
    """
    from himalia._connection import connect

    return connect(patience)


def project() -> Project:
    """The project of this kernel: slug, name, path, stages, role."""
    return connect().project()


def client(cluster: str | None = None) -> Client:
    """Connect to a Dask cluster of the project over TLS.

    Without a name: the kernel's cluster, else the project's only one. It also becomes Dask's default client,
    so that ``df.compute()`` runs there. Raises HimaliaError when there is no such cluster or it does not
    answer, MissingPackage without the package ``distributed``.
    """
    return connect().client(cluster)


def clusters() -> Listing[Cluster]:
    """The Dask clusters attached to the project."""
    return connect().clusters()


def start_cluster(
    name: str,
    workers: int | None = None,
    threads_per_worker: int | None = None,
    memory_limit: str | int | None = None,
) -> Cluster:
    """Start a Dask cluster; *memory_limit* is per worker, in bytes or as text such as ``"2GiB"``."""
    return connect().start_cluster(name, workers, threads_per_worker, memory_limit)


def deploy(model: str, name: str | None = None) -> Deployment:
    """Serve ``models:/name@alias`` or ``models:/name/3`` at an endpoint called *name*, or like the model."""
    return connect().deploy(model, name)


def deployment(name: str) -> Deployment:
    """An endpoint of the project; ``.predict(rows)`` asks it, ``.wait()`` waits until it answers."""
    return connect().deployment(name)


def model(name: str) -> Model:
    """A registered model of the project: its versions, and which of them is the ``champion``."""
    return connect().model(name)


def runs() -> Listing[Run]:
    """The latest runs of the project's pipeline."""
    return connect().runs()


def pipeline() -> Pipeline:
    """The stages of the project's pipeline, and what a run would do with each of them now, and why."""
    return connect().pipeline()


def start_run(
    params: Mapping[str, Mapping[str, object]] | None = None,
    *,
    only: Sequence[str] = (),
    from_: Sequence[str] = (),
    to: Sequence[str] = (),
    force: bool = False,
    keep_going: bool = False,
    parallel: int | None = None,
) -> Run:
    """Run what is not up to date of the pipeline; returns at once, ``.wait()`` of the run waits for its end.

    *params* per stage: ``{"train": {"seed": 7}}``. *only*: these stages and no others; *from_*: these and all that
    depend on them; *to*: these and all that they need. *force*: also what is up to date. *keep_going*: when a stage
    fails, go on with all that does not depend on it. *parallel*: the most stages at a time. Raises HimaliaError when
    something is wrong that can be known before: nothing is started then.
    """
    return connect().start_run(
        params, only=only, from_=from_, to=to, force=force, keep_going=keep_going, parallel=parallel
    )


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext himalia``: add the magics to *shell*."""
    from himalia._magics import register

    register(shell)
