"""A Dask client for a cluster of the project, over TLS with certificates from the service."""

from __future__ import annotations

import html
import importlib.util
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from himalia._errors import HimaliaError, MissingPackage

CONNECT_SECONDS = 20


def require() -> None:
    """Raise MissingPackage unless ``distributed`` can be imported."""
    if importlib.util.find_spec("distributed") is None:
        raise MissingPackage("himalia.client()", "distributed")


def open_client(secrets: Mapping[str, Any], project: str) -> Client:
    """Connect with the answer of ``GET …/clusters/{name}/connection``, whose PEM texts stay in memory."""
    import distributed

    security = distributed.Security(
        tls_ca_file=secrets["ca_pem"],
        tls_client_cert=secrets["cert_pem"],
        tls_client_key=secrets["key_pem"],
        require_encryption=True,
    )
    try:
        dask = distributed.Client(
            secrets["address"], security=security, name=f"himalia-{project}", timeout=CONNECT_SECONDS
        )
    except (OSError, TimeoutError) as error:
        raise HimaliaError(
            None,
            f"The cluster {secrets['name']} does not answer",
            f"{secrets['address']}: {error}",
            "Look at it with %cluster; stop and start it if it is broken.",
        ) from error
    client = Client(dask, str(secrets["name"]))
    try:
        client.send_sources()
    except Exception as error:  # a cluster of another kind may be without our layer; its work needs no module of ours
        warnings.warn(f"The cluster did not take the project's modules (src/ and components): {error!r}", stacklevel=2)
    return client


class Client:
    """Work on a cluster of the project.

    ``dask`` is the ``distributed.Client`` itself, for all that is not here. As a context manager it closes
    the connection at the end, and the results that only this client holds go with it.
    """

    def __init__(self, dask: Any, cluster: str) -> None:
        self.dask = dask
        self.cluster = cluster

    def send_sources(self) -> None:
        """Have the cluster import the project's modules (``src/`` and components) as they are now.

        Done at each connection; call it after a change in ``src/``. Nothing is sent that the cluster has.
        """
        from himalia._sources import ship

        ship(self.dask)

    def submit(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call ``function(*args, **kwargs)`` on a worker; returns a future. Options as in distributed."""
        return self.dask.submit(function, *args, **kwargs)

    def map(self, function: Any, *iterables: Any, **kwargs: Any) -> Any:
        """One call for each element; returns a list of futures. Options as in distributed."""
        return self.dask.map(function, *iterables, **kwargs)

    def gather(self, futures: Any, **kwargs: Any) -> Any:
        """The results of *futures*, in the same nesting."""
        return self.dask.gather(futures, **kwargs)

    def scatter(self, data: Any, **kwargs: Any) -> Any:
        """Send *data* to the workers once; returns futures to pass to tasks."""
        return self.dask.scatter(data, **kwargs)

    def close(self) -> None:
        """Disconnect. The cluster goes on."""
        self.dask.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _summary(self) -> str:
        if self.dask.status != "running":
            return f"Client of cluster {self.cluster}: {self.dask.status}"
        workers = self.dask.scheduler_info(n_workers=-1)["workers"].values()
        threads = sum(worker["nthreads"] for worker in workers)
        return f"Client of cluster {self.cluster}: {len(workers)} workers, {threads} threads"

    def __repr__(self) -> str:
        return self._summary()

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._summary())}</p>"
