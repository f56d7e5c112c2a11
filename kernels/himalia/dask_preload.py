"""What Himalia changes in a Dask scheduler or worker, from inside the project's environment.

Needs the standard library and ``distributed`` (with what that needs) only. The launcher ``_dask_main.py``
calls :func:`configure` before Dask starts; Dask calls :func:`dask_setup` when it has started.

Distributed always starts an HTTP server (dashboard, metrics, health) on TCP, and its TLS settings do not
demand a client certificate. Here that server listens on a unix socket in a private folder instead. Bokeh is
imported when somebody first opens the dashboard, not when the scheduler starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

_PRELOAD = "himalia.dask_preload"
_MISSING_BOKEH = "distributed.http.scheduler.missing_bokeh"
_PROXY = "distributed.http.proxy"


_niceness = 0


def configure(role: str, http_socket: str, niceness: int) -> None:
    """Prepare this process for *role* (``scheduler`` or ``worker``) with its HTTP server on *http_socket*.

    *niceness* is added once it has started: a start among busy processes must not wait for them.
    """
    global _niceness
    _niceness = niceness
    import dask
    import distributed  # noqa: F401  (its defaults must be loaded before ours)

    dask.config.set(_settings(dask.config, role))
    _serve_http_on(http_socket)


def _settings(config: Any, role: str) -> dict[str, Any]:
    """Return the Dask settings of *role*: TLS required, our preload after the user's, no HTTP proxy.

    The proxy to workers' TCP dashboards would have nothing to reach, and importing it takes long.
    """
    routes = [name for name in config.get(f"distributed.{role}.http.routes") if name != _PROXY]
    if role == "scheduler" and importlib.util.find_spec("bokeh") is None:
        routes.append(_MISSING_BOKEH)
    preloads = config.get(f"distributed.{role}.preload") or []
    preloads = [preloads] if isinstance(preloads, str) else list(preloads)
    settings: dict[str, Any] = {
        "distributed.comm.require-encryption": True,
        f"distributed.{role}.http.routes": routes,
        f"distributed.{role}.preload": [*preloads, _PRELOAD],
    }
    arguments = config.get(f"distributed.{role}.preload-argv") or []
    if preloads and arguments:
        each = [list(arguments)] * len(preloads) if isinstance(arguments[0], str) else list(arguments)
        settings[f"distributed.{role}.preload-argv"] = [*each, []]
    return settings


def _serve_http_on(path: str) -> None:
    """Make the Dask servers of this process serve HTTP on the unix socket *path* (0600), never on TCP."""
    from distributed.http.routing import RoutingApplication
    from distributed.node import ServerNode
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_unix_socket

    def start_http_server(
        self: Any, routes: Any, dashboard_address: Any, default_port: int = 0, ssl_options: Any = None
    ) -> None:
        self.http_application = RoutingApplication(routes)
        self.http_server = HTTPServer(self.http_application)
        self.http_server.add_socket(bind_unix_socket(path, mode=0o600))
        # Clients read the port for their link to the dashboard (distributed.dashboard.link); 0: no TCP port.
        self.http_server.address, self.http_server.port = "127.0.0.1", 0
        self.services["dashboard"] = self.http_server

    ServerNode.start_http_server = start_http_server


def _lower_priority(niceness: int) -> None:
    """Add *niceness* to all threads of this process (on Linux each has its own, and new ones inherit it)."""
    if sys.platform != "linux":
        os.nice(niceness)
        return
    wanted = os.getpriority(os.PRIO_PROCESS, 0) + niceness
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
            os.setpriority(os.PRIO_PROCESS, int(thread.name), wanted)


def _is_scheduler(server: Any) -> bool:
    from distributed import Scheduler

    return isinstance(server, Scheduler)


async def dask_setup(server: Any) -> None:
    """Called by Dask with the started *server*; ends the process when it listens on anything but TLS.

    Raises SystemExit, because Dask only logs other exceptions of a preload and would go on.
    """
    addresses = [listener.listen_address for listener in server.listeners]
    plain = [address for address in addresses if not address.startswith("tls://")]
    if plain or not addresses:
        raise SystemExit(
            f"This Dask process listens on {plain or 'nothing'}, not on TLS alone, and was ended: another "
            "user of this host could run code in it. Remove the settings of 'distributed.comm' and of "
            "'distributed.*.protocol' from your Dask configuration."
        )
    _lower_priority(_niceness)
    if _is_scheduler(server) and importlib.util.find_spec("bokeh") is not None:
        _add_dashboard_on_demand(server)


def _add_dashboard_on_demand(scheduler: Any) -> None:
    """Import and connect the Bokeh dashboard of *scheduler* at the first request for one of its pages."""
    from tornado import web

    lock = asyncio.Lock()
    application = scheduler.http_application

    class DashboardOnDemand(web.RequestHandler):
        async def get(self) -> None:
            async with lock:
                if placeholder in application.applications:
                    await _connect_dashboard(scheduler)
                    application.applications.remove(placeholder)
            self.redirect(self.request.uri or "/")

    placeholder = web.Application([(r"/[a-z0-9-]*", DashboardOnDemand)])
    application.add_application(placeholder)


async def _connect_dashboard(scheduler: Any) -> None:
    """Connect the dashboard; the import runs in a thread so that the scheduler goes on scheduling."""
    loop = asyncio.get_running_loop()
    dashboard = await loop.run_in_executor(None, importlib.import_module, "distributed.dashboard.scheduler")
    dashboard.connect(scheduler.http_application, scheduler.http_server, scheduler)
