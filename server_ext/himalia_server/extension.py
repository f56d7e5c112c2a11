"""The Jupyter server's side of Himalia: finds or starts the service of this site for the browser.

It holds no state and imports no room: whatever a room does goes through the service.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, ClassVar

from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.application import ExtensionApp
from tornado import web

from himalia_server import __version__
from himalia_server.service.problems import Problem, Unavailable

__all__ = [
    "HimaliaExtension",
    "HimaliaHandler",
    "__version__",
]  # Jupyter lists the extension with its version

RESOURCE = "himalia"
"""The resource type that a Jupyter `Authorizer` is asked about."""


class HimaliaHandler(APIHandler):
    """Base of all routes: who may do what is asked before any verb runs, never by a bare `@authorized`
    (which keeps the action and resource of its first call for every later one)."""

    actions: ClassVar[dict[str, str]] = {}
    """The action (read, write or execute) that each verb of the route is."""

    async def prepare(self) -> None:  # type: ignore[override]  # as Jupyter's own APIHandler has it
        """Authenticate as Jupyter does, then ask the authorizer; 403 when it refuses, 405 for other verbs."""
        await super().prepare()
        if self.request.method == "OPTIONS":
            return
        if not self.current_user:
            raise web.HTTPError(403, "Sign in to Jupyter first.")
        action = self.actions.get(self.request.method or "")
        if action is None:
            raise web.HTTPError(405)
        allowed = self.authorizer.is_authorized(self, self.current_user, action, RESOURCE)
        if not isinstance(allowed, bool):
            allowed = await allowed
        if not allowed:
            raise web.HTTPError(403, f"You may not {action} {RESOURCE} on this Jupyter server.")

    async def answer(self, work: Callable[[], dict[str, Any]]) -> None:
        """Finish with what *work* gives, run in a thread; a fault that can be told becomes problem+json."""
        try:
            document = await asyncio.to_thread(work)
        except Problem as problem:
            self._fail(problem)
        except (OSError, RuntimeError) as error:
            self.log.warning("Himalia: %s", error, exc_info=True)
            self._fail(Unavailable(str(error), hint="The Jupyter server's log has the details."))
        else:
            self.finish(json.dumps(document))

    def _fail(self, problem: Problem) -> None:
        self.set_status(problem.status)
        self.finish(json.dumps(problem.to_dict()), set_content_type="application/problem+json")


class StatusHandler(HimaliaHandler):
    """`GET` says how the service is, `POST` starts it when there is none."""

    actions: ClassVar[dict[str, str]] = {"GET": "read", "POST": "write"}

    @web.authenticated
    async def get(self) -> None:
        """Answer with `state` (running, starting or stopped), `version` and `site`; starts nothing."""
        await self.answer(_look)

    @web.authenticated
    async def post(self) -> None:
        """The same, once the service runs."""
        await self.answer(_ensure)


# The service's own modules take a moment to import, so they are left until the first question: JupyterLab
# should not start later because of Himalia.
def _look() -> dict[str, Any]:
    from himalia_server.service import lifecycle

    return _facts(lifecycle.look())


def _ensure() -> dict[str, Any]:
    from himalia_server.service import lifecycle

    return _facts(lifecycle.ensure())


def _facts(found: dict[str, Any]) -> dict[str, Any]:
    """What a browser needs; the service's address and token stay in this process."""
    return {key: found.get(key) for key in ("state", "version", "site")}


class HimaliaExtension(ExtensionApp):
    """Registers the routes under `<base url>/himalia/api/`."""

    name = "himalia"

    def initialize_handlers(self) -> None:
        """Add the routes; Jupyter puts its base URL before them."""
        self.handlers.append((r"/himalia/api/status", StatusHandler))


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "himalia_server.extension", "app": HimaliaExtension}]
