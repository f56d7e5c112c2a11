"""A stand-in for the service that a Jupyter server finds and trusts: it shows what is sent, and answers as told."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import WSMsgType, web

from himalia_server import __version__
from himalia_server.service.identity import ProcessIdentity
from himalia_server.service.site import Site, write_private

FAKE_TOKEN = "fake-token-that-must-stay-on-the-server"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeService:
    """Answers every request with what it got of it, unless `routes` has a handler for its path."""

    def __init__(self, site: Site, version: str = __version__) -> None:
        self.site, self.version = site, version
        self.routes: dict[str, Handler] = {}
        self.requests: list[dict[str, Any]] = []
        self.sockets = 0
        """WebSockets open at this moment."""
        self.gone = threading.Event()
        """A request was cancelled, because who asked has gone."""
        self.events: asyncio.Event
        self.loop: asyncio.AbstractEventLoop
        self._runner: web.AppRunner
        self.address = ""

    async def start(self) -> None:
        """Listen on a free port, and write the state file."""
        self.loop = asyncio.get_running_loop()
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        place = web.TCPSite(self._runner, "127.0.0.1", 0)
        await place.start()
        self.address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.site.prepare()
        write_private(self.site.user_token_file, FAKE_TOKEN)
        self.write_state()

    def write_state(self, identity: ProcessIdentity | None = None) -> None:
        """Tell that the service is here (or, with another *identity*, that it was)."""
        who = (identity or ProcessIdentity.current()).to_dict()
        state = {**who, "address": self.address, "version": self.version, "site": self.site.id}
        write_private(self.site.state_file, json.dumps(state))

    async def stop(self) -> None:
        """Close all; the state file goes too."""
        self.site.state_file.unlink(missing_ok=True)
        await self._runner.cleanup()

    def last(self) -> dict[str, Any]:
        """The latest request."""
        return self.requests[-1]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/health":
            nonce = request.headers["X-Himalia-Challenge"].encode()
            proof = hmac.new(self.site.secret.encode(), nonce, hashlib.sha256).hexdigest()
            return web.json_response({"status": "ok", "proof": proof})
        if request.headers.get("Authorization") != f"Bearer {FAKE_TOKEN}":
            return web.json_response({}, status=401)
        handler = self.routes.get(request.path)
        seen: dict[str, Any] = {"method": request.method, "target": request.raw_path, "headers": dict(request.headers)}
        self.requests.append(seen)
        try:
            if handler is not None:
                return await handler(request)
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._echo(request)
            digest, size = hashlib.sha256(), 0
            async for chunk in request.content.iter_any():
                digest.update(chunk)
                size += len(chunk)
            seen |= {"size": size, "sha256": digest.hexdigest()}
            return web.json_response({"method": request.method, "size": size})
        except asyncio.CancelledError:
            self.gone.set()
            raise

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        socket = web.WebSocketResponse(protocols=offered[:1], max_msg_size=0)
        await socket.prepare(request)
        self.sockets += 1
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    if message.data.startswith("close "):
                        await socket.close(code=int(message.data[6:]))
                    else:
                        await socket.send_str(message.data)
                elif message.type == WSMsgType.BINARY:
                    await socket.send_bytes(message.data)
        finally:
            self.sockets -= 1
        return socket


@contextmanager
def fake_service(site: Site, version: str = __version__) -> Iterator[FakeService]:
    """A stand-in for the service of *site*, in a thread."""
    service = FakeService(site, version)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(service.start(), loop).result(30)
    try:
        yield service
    finally:
        asyncio.run_coroutine_threadsafe(service.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
