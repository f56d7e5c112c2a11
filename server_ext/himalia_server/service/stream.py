"""Events over the wire: a WebSocket for pages, server-sent events for the command line. Both replay from a number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from ..team import SiteRole
from .auth import Caller, Principal, bearer, identify, visible_projects
from .context import Context
from .inputs import BIGGEST
from .journal import Event

router = APIRouter(prefix="/events", tags=["events"])
HEARTBEAT = 25.0
"""Seconds between signs of life on a silent connection."""


async def follow(context: Context, principal: Principal, token: str | None, after: int | None) -> AsyncIterator[Any]:
    """Events that the caller may see, from number *after* on (None: from now on), then as they come.

    Yields `Event`, or None as a heartbeat, or the string "reset" when *after* is older than what is kept. Ends when
    the token is no longer valid or the service stops.
    """
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    context.events.listen(wake)
    try:
        first, last = await asyncio.to_thread(context.events.bounds)
        if after is None:
            after = last
        elif after > last or (first > 1 and after < first - 1):
            yield "reset"
            after = last
        while not context.stopping.is_set():
            changed.clear()
            batch = await asyncio.to_thread(_visible, context, principal, token, after)
            if batch is None:
                return
            events, after = batch
            for event in events:
                yield event
            if len(events) == 0:
                try:
                    await asyncio.wait_for(changed.wait(), HEARTBEAT)
                except TimeoutError:
                    yield None
    finally:
        context.events.unlisten(wake)


def _visible(context: Context, principal: Principal, token: str | None, after: int) -> tuple[list[Event], int] | None:
    """The next events that the caller may see, and how far was read; None when the token is no longer valid.

    Those of a project that is gone are for who was a member at its end, also when they were away meanwhile.
    """
    if identify(context, token) is None:
        return None
    # first: what is made or deleted while we look belongs to the next look
    last = context.events.bounds()[1]
    projects = visible_projects(context, principal)
    if principal.project_id is None:
        everywhere = principal.site_role == SiteRole.AUDITOR
        projects |= context.events.gone(after, None if everywhere else principal.user)
    while events := context.events.after(after, projects, last=last):
        after = events[-1].seq
        seen = [event for event in events if _may_see(event, principal)]
        if seen:
            return seen, after
    return [], max(after, last)


def _may_see(event: Event, principal: Principal) -> bool:
    """Whether an event is for the caller that is of no project, or of one they may see."""
    if event.project_id is None:
        # the names of children tell of projects that not everybody may know
        return principal.site_role is not None or (
            principal.purpose in ("user", "forwarded") and not event.topic.startswith("child.")
        )
    return True


@router.get("", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def server_sent_events(
    request: Request,
    caller: Caller,
    after: Annotated[int | None, Query(ge=0, le=BIGGEST)] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=BIGGEST)] = None,
) -> StreamingResponse:
    """Server-sent events: `id` is the number, `event` the topic, `data` the event as JSON. `reset`: read all anew."""
    context: Context = request.app.state.context
    start = after if after is not None else last_event_id

    async def lines() -> AsyncIterator[str]:
        yield ": welcome\n\n"
        async for event in follow(context, caller, bearer(request), start):
            if event is None:
                yield ": still here\n\n"
            elif event == "reset":
                yield "event: reset\ndata: {}\n\n"
            else:
                yield f"id: {event.seq}\nevent: {event.topic}\ndata: {json.dumps(event.to_dict())}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@router.websocket("/socket")
async def socket(websocket: WebSocket, after: Annotated[int | None, Query(ge=0, le=BIGGEST)] = None) -> None:
    """The same over a WebSocket: one JSON object a message; `{"reset": true}` and `{"heartbeat": true}` besides."""
    context: Context = websocket.app.state.context
    token = bearer(websocket)
    principal: Principal = websocket.state.principal
    await websocket.accept()
    closed = asyncio.create_task(_until_closed(websocket))
    try:
        async for event in follow(context, principal, token, after):
            if closed.done():
                return
            if event is None:
                await websocket.send_json({"heartbeat": True})
            elif event == "reset":
                await websocket.send_json({"reset": True})
            else:
                await websocket.send_json(event.to_dict())
        await websocket.close(1012)
    except WebSocketDisconnect:
        return
    finally:
        closed.cancel()


async def _until_closed(websocket: WebSocket) -> None:
    try:
        while True:
            await websocket.receive()
    except (RuntimeError, WebSocketDisconnect):
        return
