"""Bases of the routes: who asks, and whether they may. Nothing of a route runs before that is known."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import cached_property
from http.client import responses
from typing import TYPE_CHECKING, Any, ClassVar, cast

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketHandler

from himalia_server.service.logs import decent_id
from himalia_server.service.problems import PROBLEM_JSON, Problem, Unavailable

from . import wire

if TYPE_CHECKING:
    from .link import Link

RESOURCE = "himalia"
"""The resource type that a Jupyter `Authorizer` is asked about."""
PAGE_POLICY = "frame-ancestors 'self'"
"""Pages are shown in tabs of JupyterLab; a Hub's own default (`'none'`) would forbid that."""


class Guarded(JupyterHandler):
    """Who may do what is asked, before any verb runs and never by a bare `@authorized` (which keeps the action and
    resource of its first call for every later one)."""

    actions: ClassVar[dict[str, str]] = {}
    """The action (read, write or execute) that each verb of the route is; other verbs get 405."""

    @cached_property
    def request_id(self) -> str:
        """The request's id, by the browser or else by us: in this server's log lines, the service's, and children's."""
        return decent_id(self.request.headers.get("X-Request-ID"))

    @property
    def link(self) -> Link:
        """The way to the service, one for the Jupyter server."""
        return cast("Link", self.settings["himalia"].link)

    def forwarded_headers(self) -> dict[str, str]:
        """What the service is told of the browser's request: its id, and where it came in."""
        return {
            "X-Request-ID": self.request_id,
            "X-Forwarded-For": self.request.remote_ip or "unknown",
            "X-Forwarded-Proto": self.request.protocol,
            "X-Forwarded-Prefix": self.base_url + wire.PREFIX,
        }

    async def check_permission(self) -> None:
        """Ask the authorizer; 403 when it refuses."""
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

    def fail(self, problem: Problem) -> None:
        """Finish with problem+json."""
        self.set_status(problem.status)
        self.set_header("X-Request-ID", self.request_id)
        if problem.status == 503:
            self.set_header("Retry-After", "2")
        self._finish_problem(json.dumps(problem.to_dict()))

    def _finish_problem(self, document: str) -> None:
        self.set_header("Content-Type", PROBLEM_JSON)
        self.finish(document)

    def told(self, error: Exception) -> Problem:
        """*error* as a problem; what nobody foresaw is logged."""
        if isinstance(error, Problem):
            return error
        self.log.warning("Himalia: %s (request %s)", error, self.request_id, exc_info=True)
        return Unavailable(str(error), hint="The Jupyter server's log has the details.")


class HimaliaHandler(Guarded, APIHandler):
    """Base of the REST routes."""

    @property
    def _track_activity(self) -> bool:  # type: ignore[override]  # a constant in Jupyter's own
        # Pages read by themselves, whenever something happens; that must not keep an idle server alive.
        return self.request.method not in ("GET", "HEAD")

    async def prepare(self) -> None:  # type: ignore[override]  # as Jupyter's own APIHandler has it
        """Authenticate as Jupyter does, then ask the authorizer."""
        await super().prepare()
        if not self._finished and self.request.method != "OPTIONS":
            await self.check_permission()

    def _finish_problem(self, document: str) -> None:
        self.finish(document, set_content_type=PROBLEM_JSON)  # Jupyter's own finish would set plain JSON

    async def answer(self, work: Callable[[], dict[str, Any]]) -> None:
        """Finish with what *work* gives, run in a thread; a fault that can be told becomes problem+json."""
        try:
            document = await asyncio.to_thread(work)
        except (Problem, OSError, RuntimeError) as error:
            self.fail(self.told(error))
        else:
            self.finish(json.dumps(document))


class PageHandler(Guarded):
    """Base of other programs' pages (MLflow's, Dask's). A person without a login is sent to the login page."""

    @property
    def content_security_policy(self) -> str:
        """Pages may be framed by JupyterLab, and by nobody else."""
        return PAGE_POLICY

    async def prepare(self) -> None:  # type: ignore[override]  # as Jupyter's own APIHandler has it
        """Authenticate as Jupyter does, then ask the authorizer."""
        await super().prepare()
        if self._finished:
            return
        if not self.current_user:
            _to_login(self)
        if not self._finished:
            await self.check_permission()

    def fail(self, problem: Problem) -> None:
        """Finish with an error page for a person, with problem+json for a script."""
        if self._for_person():
            raise web.HTTPError(problem.status, " ".join(filter(None, (problem.detail, problem.hint))))
        super().fail(problem)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Jupyter's error page for a person. Scripts get JSON, with the `message` that MLflow's show."""
        if self._for_person():
            super().write_error(status_code, **kwargs)
            return
        title = responses.get(status_code, "Error")
        error = kwargs.get("exc_info", (None, None))[1]
        detail = (error.log_message if isinstance(error, web.HTTPError) else None) or title
        self.set_header("Content-Type", PROBLEM_JSON)
        self.finish(json.dumps({"title": title, "status": status_code, "detail": detail, "message": detail}))

    def _for_person(self) -> bool:
        return "text/html" in self.request.headers.get("Accept", "")

    def check_xsrf_cookie(self) -> None:
        """Jupyter's own check, which answers a foreign origin with 404; here that is a 403 as well.

        These pages are not ours, but they can send the token: `forward.MlflowForward` hands it to them. So nothing
        weaker is taken instead. `Sec-Fetch-Site`, `Origin` and `Referer` would not do: on a Hub without a domain
        per user other users' pages are of the same origin, and a page may name any address of its origin as its
        referrer (`fetch(…, {referrer})`, `history.pushState`).
        """
        try:
            super().check_xsrf_cookie()
        except web.HTTPError as error:
            raise web.HTTPError(403, error.log_message or "This request comes from another origin.") from error
        if hasattr(self, "_jupyter_current_user") and not self.token_authenticated:
            site = self.request.headers.get("Sec-Fetch-Site", "same-origin")
            if site not in ("same-origin", "none"):
                raise web.HTTPError(403, "This request comes from another origin.")


@web.authenticated
def _to_login(_handler: web.RequestHandler) -> None:
    """Tornado's decorator redirects GET and HEAD to the login page and refuses the rest."""


class SocketHandler(WebSocketMixin, WebSocketHandler, Guarded):
    """Base of the WebSockets: refused with 403 before the upgrade."""

    actions: ClassVar[dict[str, str]] = {"GET": "read"}

    @property
    def ping_interval(self) -> float:
        """Seconds between pings, which find out that a laptop sleeps. Jupyter's own setting has milliseconds."""
        return float(self.settings.get("ws_ping_interval", 30000)) / 1000

    @property
    def ping_timeout(self) -> float:
        """Seconds that an answer to a ping may take."""
        return self.ping_interval

    def open(self, *_path: str) -> None:
        """Pinging is left to Tornado; the mixin's own would do it a second time."""

    async def prepare(self) -> None:  # type: ignore[override]  # Jupyter's is an ordinary method that gives a coroutine
        """Authenticate, check the origin (browsers do not, for WebSockets), ask the authorizer."""
        await super().prepare()
        # Tornado judges `Sec-Fetch-Site` too, but only at the upgrade, when the service has been asked already
        foreign = self.request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
        if not self.check_origin() or (foreign and "Origin" not in self.request.headers):
            raise web.HTTPError(403, "WebSockets from other origins are refused.")
        await self.check_permission()
