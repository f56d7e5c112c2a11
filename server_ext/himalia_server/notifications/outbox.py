"""Notices on their way: each delivery is a row until it has arrived, so that no kill loses one.

At least once: killed between the arrival and the row's end, it is sent again, with the same id.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from ..service.context import Context
from ..store import Delivery, Notice, Notifier, Project
from .sending import Parcel, Undelivered

log = logging.getLogger(__name__)
WAITS = (10.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 3 * 3600.0, 6 * 3600.0, 12 * 3600.0, 24 * 3600.0, 24 * 3600.0)
"""Seconds before each repetition; after the last one, about three days later, it is given up."""
LONGEST = 20.0
"""Seconds between looks."""
SOON = 3.0
"""Seconds after being woken in which it looks often: what woke it may not be committed yet."""
AT_ONCE = 4
"""Deliveries at a time: a receiver that is slow must not keep the others."""


def in_thread(work: Callable[[], None]) -> None:
    """Have *work* done beside everything else."""
    threading.Thread(target=work, name="delivery", daemon=True).start()


class Outbox:
    """Delivers in a thread of its own.

    *send* raises Undelivered. *clock*: UTC seconds. *spawn*: has a delivery done, now or beside.
    """

    def __init__(
        self,
        context: Context,
        send: Callable[[Notifier, Parcel], None],
        clock: Callable[[], float] = time.time,
        spawn: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self.context, self.send, self.clock, self.spawn = context, send, clock, spawn
        self._going: set[str] = set()
        self._lock = threading.Lock()
        self._places = threading.Semaphore(AT_ONCE)
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to deliver."""
        if self._thread is None and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Begin no more deliveries; the next service goes on with them."""
        self._stopping.set()
        self._woken.set()

    def wake(self) -> None:
        """Look at once: there is, or will be in a moment, something to deliver."""
        self._woken.set()

    def _run(self) -> None:
        often_until = 0.0
        while not self._stopping.is_set():
            if self._woken.is_set():
                self._woken.clear()
                often_until = time.monotonic() + SOON
            try:
                wait = self.tick()
            except Exception:
                log.exception("notices could not be looked at; tried again soon")
                wait = SOON
            self._woken.wait(min(wait, 0.3) if time.monotonic() < often_until else wait)

    def tick(self) -> float:
        """Begin all deliveries that are due. Returns how many seconds there are until there can be more to do."""
        now = self.clock()
        pending = (
            select(Delivery).where(Delivery.next_at.is_not(None)).order_by(Delivery.next_at, Delivery.id).limit(100)
        )
        with self.context.database.read() as session:
            rows = list(session.scalars(pending))
        wait = LONGEST
        for row in rows:
            assert row.next_at is not None
            # no wait is longer than the longest: the clock may have been put back
            left = min(row.next_at - now, WAITS[-1])
            if left > 0:
                wait = min(wait, left)
                continue
            with self._lock:
                if row.id in self._going or self._stopping.is_set():
                    continue
                self._going.add(row.id)
            self.spawn(lambda delivery=row.id: self._deliver(delivery))  # type: ignore[misc]
        return wait

    def _deliver(self, delivery_id: str) -> None:
        try:
            with self._places:
                if not self._stopping.is_set():
                    self._attempt(delivery_id)
        except DBAPIError as error:
            log.warning("the end of a delivery could not be written; it is sent again: %s", error)
        except Exception:
            log.exception("a delivery failed by a fault of ours; it is tried again")
        finally:
            with self._lock:
                self._going.discard(delivery_id)

    def _attempt(self, delivery_id: str) -> None:
        with self.context.database.read() as session:
            row = session.get(Delivery, delivery_id)
            notice = session.get(Notice, row.notice_id) if row else None
            notifier = session.get(Notifier, row.notifier_id) if row else None
        if row is None or notice is None or notifier is None or row.next_at is None:
            return
        error: str | None = None
        try:
            self.send(notifier, Parcel(row.id, public_body(notice, row.id)))
        except Undelivered as why:
            error = str(why)
        except Exception as fault:
            log.exception("a notice could not be sent")
            error = f"a fault of Himalia: {type(fault).__name__}"
        self._written(delivery_id, notifier, error)

    def _written(self, delivery_id: str, notifier: Notifier, error: str | None) -> None:
        with self.context.change() as change:
            row = change.session.get(Delivery, delivery_id)
            if row is None:  # the notifier was removed meanwhile
                return
            now = self.clock()
            row.attempts += 1
            row.error = error
            if error is None:
                row.delivered_at, row.next_at = now, None
                return
            row.next_at = now + WAITS[row.attempts - 1] if row.attempts <= len(WAITS) else None
            log.warning("notifier %s: %s (attempt %d)", notifier.name, error, row.attempts)
            if row.next_at is None:
                project = change.session.get(Project, notifier.project_id)
                change.event("notice.undelivered", notifier.name, {"notice": row.notice_id, "error": error}, project)


def public_body(notice: Notice, delivery_id: str) -> dict[str, object]:
    """What receivers are sent."""
    body = {name: value for name, value in notice.body.items() if name != "schedule_id"}
    return {"id": notice.id, "delivery": delivery_id, "kind": notice.kind, "at": notice.created_at, **body}
