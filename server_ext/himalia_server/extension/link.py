"""The Jupyter server's way to the service: finds it, follows it when it restarts, and starts it after a crash."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from himalia_server import __version__
from himalia_server.service.problems import Conflict, Unavailable

if TYPE_CHECKING:
    import aiohttp

    from himalia_server.service.lifecycle import Found

    from .sockets import Bridge

CONNECT_SECONDS = 5.0
ENDING_SECONDS = 60.0
"""A service that is asked to stop ends what it drives first."""
RESTARTS, RESTART_SECONDS = 4, 300.0
"""After so many crashes within this time the service is left alone until a person starts it."""
KEEP_ALIVE = 2.0
"""Shorter than the service keeps an idle connection, so that it is never closed just when it is used again."""


class NotRunning(Unavailable):
    """No service answers: `service` says whether one is about to."""

    title = "The service of Himalia is not running"

    def __init__(self, service: Literal["stopped", "starting"], detail: str, *, hint: str | None = None) -> None:
        super().__init__(detail, hint=hint)
        self.service = service

    def to_dict(self) -> dict[str, Any]:
        """The problem+json document, with the state of the service."""
        return super().to_dict() | {"service": self.service}


class NewerService(Conflict):
    """The service speaks a newer language than this extension."""

    title = "The service is newer than this JupyterLab's Himalia"

    def __init__(self, version: str) -> None:
        super().__init__(
            f"The running service is Himalia {version}, the extension in this Jupyter server is {__version__}.",
            hint="Upgrade Himalia in this environment (pip install -U himalia) and restart the Jupyter server.",
        )


@dataclass(frozen=True)
class Upstream:
    """The service as it was found, and the OS account's token. The token never leaves this process otherwise."""

    found: Found
    token: str

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        return self.found.address

    def headers(self, acting_for: str | None) -> dict[str, str]:
        """Who calls; see `identity.HEADER`."""
        from .identity import HEADER

        return {"Authorization": f"Bearer {self.token}"} | ({HEADER: acting_for} if acting_for else {})

    def __repr__(self) -> str:
        return f"Upstream({self.address})"  # it may come into a log


class Link:
    """One per Jupyter server; used from its event loop only. What blocks runs in threads."""

    def __init__(self) -> None:
        self.bridges: WeakSet[Bridge] = WeakSet()
        self._upstream: Upstream | None = None
        self._session: asyncio.Task[aiohttp.ClientSession] | None = None
        self._looking: asyncio.Task[Upstream] | None = None
        self._starting: asyncio.Task[Upstream] | None = None
        self._crashes: deque[float] = deque()

    async def session(self) -> aiohttp.ClientSession:
        """The HTTP client, made at the first request: importing it takes a moment."""
        if self._session is None:
            self._session = asyncio.create_task(_new_session())
        return await asyncio.shield(self._session)

    async def upstream(self) -> Upstream:
        """The running service; one that crashed is started again.

        Raises:
            NotRunning: there is none. NewerService: it is newer. OSError, RuntimeError: it cannot be started or used.
        """
        known = self._upstream
        # Another program may get the port of a dead service: it must not get the token.
        if known is not None and known.found.identity.alive():
            return known
        self._upstream = None
        if self._starting is not None:
            return await asyncio.shield(self._starting)
        if (earlier := self._looking) is not None:
            try:
                return await asyncio.shield(earlier)
            except NotRunning:
                pass  # a look takes seconds when a service hangs: what it has not seen may be there by now
        if self._looking is None:
            self._looking = _once(self._look(), lambda: setattr(self, "_looking", None))
        return await asyncio.shield(self._looking)

    async def ensure(self) -> Upstream:
        """The running service, started when there is none and replaced when it is older than this extension.

        Raises:
            NewerService: it is newer. OSError, RuntimeError: it cannot be started.
        """
        if self._starting is None:
            self._starting = _once(self._ensure(), lambda: setattr(self, "_starting", None))
        return await asyncio.shield(self._starting)

    def forget(self, upstream: Upstream) -> None:
        """*upstream* does not answer, or does not take the token any more: look again next time."""
        if self._upstream is upstream:
            self._upstream = None

    async def ended(self, upstream: Upstream) -> Literal["stopped", "back"]:
        """Whether a service whose connection has ended was stopped, or is there again or soon. Waits for its end."""
        self.forget(upstream)
        deadline = time.monotonic() + ENDING_SECONDS
        while time.monotonic() < deadline:
            gone = not upstream.found.identity.alive()  # before the look, which may otherwise still see it
            facts = await asyncio.to_thread(_look)
            if facts["state"] == "running" or facts["crashed"]:
                return "back"
            if gone:
                return "stopped" if facts["state"] == "stopped" else "back"
            await asyncio.sleep(0.1)
        return "back"

    async def close(self) -> None:
        """End the sockets and connections of this server."""
        await asyncio.gather(*(bridge.shut_down() for bridge in list(self.bridges)))
        if self._session is not None:
            session, self._session = self._session, None
            await (await session).close()

    async def _look(self) -> Upstream:
        upstream = await asyncio.to_thread(_find)
        if upstream is not None:
            return self._keep(upstream)
        facts = await asyncio.to_thread(_look)
        if facts["state"] == "running":  # it came while the look waited for the one before it
            upstream = await asyncio.to_thread(_find)
            if upstream is not None:
                return self._keep(upstream)
            raise NotRunning("starting", "The service has just started.", hint="Try again in a few seconds.")
        if facts["state"] == "starting":
            raise NotRunning("starting", "The service is starting.", hint="Try again in a few seconds.")
        if not facts["crashed"]:
            raise NotRunning(
                "stopped", "The service of Himalia is not running.", hint="Start it here, or with: himalia up"
            )
        self._count_crash()
        return await self.ensure()

    def _count_crash(self) -> None:
        now = time.monotonic()
        while self._crashes and now - self._crashes[0] > RESTART_SECONDS:
            self._crashes.popleft()
        if len(self._crashes) >= RESTARTS:
            raise NotRunning(
                "stopped",
                f"The service has ended unexpectedly {RESTARTS} times within {RESTART_SECONDS / 60:.0f} minutes and is "
                "not started again by itself.",
                hint="himalia logs service says why it ends; then start it here, or with: himalia up",
            )
        self._crashes.append(now)

    async def _ensure(self) -> Upstream:
        try:
            upstream = await asyncio.to_thread(_ensure)
        except RuntimeError:
            newer = await asyncio.to_thread(_find)
            if newer is not None:
                _check_version(newer.found.version)
            raise
        return self._keep(upstream)

    def _keep(self, upstream: Upstream) -> Upstream:
        _check_version(upstream.found.version)
        self._upstream = upstream
        return upstream


def _once(work: Awaitable[Upstream], done: Callable[[], None]) -> asyncio.Task[Upstream]:
    """*work* as a task that goes on when one of those who wait for it gives up."""

    async def run() -> Upstream:
        try:
            return await work
        finally:
            done()

    task = asyncio.create_task(run())
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # perhaps nobody waits any more
    return task


async def _new_session() -> aiohttp.ClientSession:
    await asyncio.to_thread(importlib.import_module, "aiohttp")
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,  # a proxy of the environment would see the token
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
    )


def _check_version(version: str) -> None:
    from packaging.version import Version

    if version != __version__ and Version(version) > Version(__version__):
        raise NewerService(version)


# The service's own modules take a moment to import, so they are left until the first question.
def _find() -> Upstream | None:
    from himalia_server.service import lifecycle
    from himalia_server.service.site import Site

    found = lifecycle.find(Site.open()) if Site.exists() else None
    return Upstream(found, found.token()) if found else None


def _look() -> dict[str, Any]:
    from himalia_server.service import lifecycle

    return lifecycle.look()


def _ensure() -> Upstream:
    from himalia_server.service import lifecycle
    from himalia_server.service.site import Site

    found = lifecycle.ensure_running(Site.open())
    return Upstream(found, found.token())
