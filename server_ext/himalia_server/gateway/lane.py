"""The queue of one revision, and the links to its replicas.

Batches are made without a timer: a replica that is idle takes at once everything that is queued and may go
together, so that a batch grows only while all replicas are busy.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from himalia._replica_wire import LENGTHS, FrameError, lengths
from himalia_server.gateway.batch import encode_batch, split_answer
from himalia_server.gateway.casting import InputError
from himalia_server.gateway.config import Limits
from himalia_server.gateway.inputs import Model, Prepared, prepare
from himalia_server.gateway.logs import Log

_numbers = itertools.count(1)
RECONNECT_SECONDS = 0.2


class Asker(Protocol):
    """Whoever waits for an answer: one HTTP exchange."""

    def answer(self, ok: bool, content: bytes, revision: str) -> None:
        """Take a replica's JSON: the predictions when *ok*, else an error."""

    def refuse(self, status: int, code: str, message: str, retry_after: int | None = None) -> None:
        """Take an error of the gateway itself."""


class Waiting:
    """A request from its arrival until its answer. The body is kept: it may move to another revision."""

    __slots__ = ("alone", "asker", "attempts", "body", "content_type", "deadline", "done", "prepared")

    def __init__(self, asker: Asker, body: bytes, content_type: str | None, deadline: float) -> None:
        self.asker = asker
        self.body = body
        self.content_type = content_type
        self.deadline = deadline
        self.prepared: Prepared | None = None
        self.attempts = 0
        self.alone = False
        self.done = False

    def refuse(self, status: int, code: str, message: str, retry_after: int | None = None) -> None:
        """Answer with an error, unless it was answered before or its client has gone."""
        if not self.done:
            self.done = True
            self.asker.refuse(status, code, message, retry_after)

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        self.done = True


class Lane:
    """Requests for one revision, and its replicas."""

    def __init__(self, revision: str, limits: Limits, log: Log, on_change: Callable[[], None]) -> None:
        """*on_change* is called when a link was made or lost."""
        self.revision = revision
        self.limits = limits
        self.model: Model | None = None
        self.retired = False
        self.links: dict[str, Link] = {}
        self._paths: dict[str, str] = {}
        self._queue: deque[Waiting] = deque()
        self._queued_bytes = 0
        self._kicked = False
        self._log = log
        self.changed = on_change

    @property
    def unanswered(self) -> int:
        """Requests queued and in flight."""
        return len(self._queue) + sum(len(link.batch) for link in self.links.values())

    @property
    def live(self) -> bool:
        """Whether a replica is connected."""
        return any(link.connected for link in self.links.values())

    def push(self, waiting: Waiting) -> None:
        """Queue a request. InputError and ContentTypeError when its input is known to be wrong."""
        if self.model is not None and waiting.prepared is None:
            waiting.prepared = prepare(waiting.body, waiting.content_type, self.model)
        full = self._queued_bytes + len(waiting.body) > self.limits.queue_bytes and self._queue
        if full or len(self._queue) >= self.limits.queue_requests:
            message = "Too many requests are waiting for this deployment; try again shortly."
            waiting.refuse(503, "TEMPORARILY_UNAVAILABLE", message, retry_after=1)
            return
        self._queue.append(waiting)
        self._queued_bytes += len(waiting.body)
        self.kick_soon()

    def kick_soon(self) -> None:
        """Hand out work at the end of this turn of the loop, when all that was read is queued."""
        if not self._kicked:
            self._kicked = True
            asyncio.get_running_loop().call_soon(self._kick)

    def _kick(self) -> None:
        self._kicked = False
        for link in list(self.links.values()):
            if link.idle and self._queue:
                batch = self._take()
                if batch:
                    link.send(batch)

    def _take(self) -> list[Waiting]:
        """Take the first request and all that may go with it, up to the cap of rows."""
        batch: list[Waiting] = []
        kept: deque[Waiting] = deque()
        rows, group = 0, None
        while self._queue:
            waiting = self._queue.popleft()
            prepared = self._prepared(waiting)
            if prepared is None:
                self._queued_bytes -= len(waiting.body)
                continue
            if batch and (waiting.alone or prepared.group != group or rows + prepared.rows > self.limits.batch_rows):
                kept.append(waiting)
                continue
            self._queued_bytes -= len(waiting.body)
            batch.append(waiting)
            rows += prepared.rows
            group = prepared.group
            if waiting.alone or group is None or rows >= self.limits.batch_rows:
                break
        kept.extend(self._queue)
        self._queue = kept
        return batch

    def _prepared(self, waiting: Waiting) -> Prepared | None:
        """Prepare a request that came before the model was known; None when it needs no replica."""
        if waiting.prepared is None and not waiting.done and self.model is not None:
            try:
                waiting.prepared = prepare(waiting.body, waiting.content_type, self.model)
            except InputError as error:
                waiting.refuse(400, "INVALID_PARAMETER_VALUE", str(error))
        return None if waiting.done else waiting.prepared

    def set_replicas(self, paths: dict[str, str]) -> None:
        """Connect to the replicas at these sockets, by id; busy links that are not named finish first."""
        self._paths = dict(paths)
        for number in paths:
            if number not in self.links:
                self._connect(number)
        for link in list(self.links.values()):
            self._close_if_unneeded(link)

    def retire(self) -> None:
        """Take no new requests (the router sees to that), answer those that are here, then let go."""
        self.retired = True
        self.set_replicas({})

    def _close_if_unneeded(self, link: Link) -> None:
        """Let a replica go that is idle and not named any more; a retired lane empties its queue first."""
        if link.idle and link.number not in self._paths and not (self.retired and self._queue):
            link.close()

    def _connect(self, number: str) -> None:
        link = Link(self, number)
        self.links[number] = link
        link.opening = asyncio.get_running_loop().create_task(self._open(link, self._paths[number]))

    async def _open(self, link: Link, path: str) -> None:
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: link, path)
        except OSError as error:
            self._log.warning("a replica cannot be reached", replica=link.number, error=str(error))
            self.lost(link)

    def available(self, link: Link) -> None:
        """A replica is idle: it has just been connected, or has just answered."""
        self._close_if_unneeded(link)
        self.kick_soon()

    def lost(self, link: Link) -> None:
        """A replica has gone. Its batch is tried once more, each request alone: one may have killed it."""
        self.links.pop(link.number, None)
        for waiting in reversed(link.batch):
            waiting.attempts += 1
            waiting.alone = True
            if waiting.attempts > 1:
                message = "The model's process ended twice while it worked on this request."
                waiting.refuse(500, "INTERNAL_ERROR", message)
            elif not waiting.done:
                self._queue.appendleft(waiting)
                self._queued_bytes += len(waiting.body)
        link.batch = []
        if link.number in self._paths:
            asyncio.get_running_loop().call_later(RECONNECT_SECONDS, self._reconnect, link.number)
        self.changed()
        self.kick_soon()

    def _reconnect(self, number: str) -> None:
        if number in self._paths and number not in self.links:
            self._connect(number)

    def surrender(self) -> list[Waiting]:
        """Give up all queued requests, to be moved to another revision."""
        queue, self._queue, self._queued_bytes = self._queue, deque(), 0
        for waiting in queue:
            waiting.prepared = None
        return [waiting for waiting in queue if not waiting.done]

    def expire(self, now: float) -> None:
        """Refuse what waited too long: 503 when there was no replica to ask, 504 when it was too slow."""
        while self._queue and (self._queue[0].done or self._queue[0].deadline <= now):
            waiting = self._queue.popleft()
            self._queued_bytes -= len(waiting.body)
            if self.live:
                waiting.refuse(504, "DEADLINE_EXCEEDED", "The model was too busy to answer in time.")
            else:
                message = "No replica of this deployment became ready in time; try again later."
                waiting.refuse(503, "TEMPORARILY_UNAVAILABLE", message, retry_after=5)
        for link in self.links.values():
            for waiting in link.batch:
                if waiting.deadline <= now:
                    waiting.refuse(504, "DEADLINE_EXCEEDED", "The model did not answer in time.")

    def refuse_all(self, message: str) -> None:
        """Refuse all that is queued: there will be no replica."""
        for waiting in self.surrender():
            waiting.refuse(503, "TEMPORARILY_UNAVAILABLE", message, retry_after=30)

    def set_batchable(self, batchable: bool) -> None:
        """Stop making batches once a replica found that this model's answers depend on them."""
        if self.model is not None and self.model.batchable and not batchable:
            model = self.model
            self.model = Model(model.table, False, model.columns, model.optional, model.takes_params)
            for waiting in self._queue:
                waiting.alone = True


class Link(asyncio.Protocol):
    """The connection to one replica; it works on one batch at a time."""

    def __init__(self, lane: Lane, number: str) -> None:
        self.number = number
        self.batch: list[Waiting] = []
        self.since = 0.0
        self.connected = False
        self.opening: asyncio.Task[None] | None = None
        self._lane = lane
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._id = 0

    @property
    def idle(self) -> bool:
        return self.connected and not self.batch

    def send(self, batch: Sequence[Waiting]) -> None:
        """Send a batch of requests that were prepared."""
        assert self._transport is not None
        self.batch = list(batch)
        self.since = asyncio.get_running_loop().time()
        self._id = next(_numbers)
        prepared = [waiting.prepared for waiting in batch if waiting.prepared is not None]
        self._transport.write(encode_batch(self._id, prepared))

    def close(self) -> None:
        """Let the replica go; `Lane.lost` follows."""
        self.connected = False
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.connected = True
        self._lane.available(self)
        self._lane.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connected = False
        self._lane.lost(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= LENGTHS.size:
            try:
                head, body = lengths(self._buffer)
                end = LENGTHS.size + head + body
                if len(self._buffer) < end:
                    return
                frame = bytes(self._buffer[LENGTHS.size : end])
                del self._buffer[:end]
                header = json.loads(frame[:head])
            except (FrameError, ValueError):
                self.close()
                return
            self._received(header, frame[head:])

    def _received(self, header: dict[str, object], body: bytes) -> None:
        batch, answers = self.batch, split_answer(header, body)
        if header.get("id") != self._id or len(answers) != len(batch):
            self.close()  # never give one client another's answer
            return
        self.batch = []
        self._lane.set_batchable(bool(header.get("batchable")))
        for waiting, (ok, content) in zip(batch, answers, strict=True):
            if not waiting.done:
                waiting.done = True
                waiting.asker.answer(ok, content, self._lane.revision)
        self._lane.available(self)
