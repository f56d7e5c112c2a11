"""The threads of runs that go on: one a run, and of a sweep a few at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from sqlalchemy import select

from ...store import Run
from ..models import TERMINAL
from .driver import Driver
from .rooms import Rooms
from .state import Fresh

SETTLE_SECONDS = 1.0
"""For which who starts a run waits to see what is unchanged: it is mostly known much sooner."""


class Drivers:
    """Drives runs, each in a thread of its own, until they end or the service stops. Thread-safe.

    Of a sweep only so many runs are driven at a time as may keep the site's slots busy: the hundreds behind them cost
    nothing but their rows.
    """

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.of_sweep = 2 * rooms.stages
        """Runs of one sweep that are driven at a time."""
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def drive(self, run_id: str, sweep_id: str | None = None) -> None:
        """Have a thread drive the run, unless one does."""
        with self._lock:
            self._drive(Driver(self.rooms, run_id), sweep_id)

    def begin(self, run_id: str, fresh: Fresh) -> None:
        """Drive a new run; returns when it is known what is to be done, or after `SETTLE_SECONDS`."""
        driver = Driver(self.rooms, run_id, fresh)
        with self._lock:
            begun = self._drive(driver, None)
        if begun:
            driver.settled.wait(SETTLE_SECONDS)

    def drive_sweep(self, sweep_id: str) -> None:
        """Drive the next runs of a sweep, first those to be cancelled; those that ran before in any case."""
        if self.rooms.stopping.is_set():
            return
        with self._lock:
            # read under the lock: who ends meanwhile asks again
            with self.rooms.context.database.read() as session:
                query = select(Run).where(Run.sweep_id == sweep_id, Run.status.not_in(TERMINAL)).order_by(Run.id)
                open_runs = list(session.scalars(query))
            driven = sum(run.id in self._living() for run in open_runs)
            for run in sorted(open_runs, key=lambda run: (run.status == "pending", run.cancel_requested_by is None)):
                if run.status != "pending" or driven < self.of_sweep:
                    driven += self._drive(Driver(self.rooms, run.id), sweep_id)

    def drive_open(self) -> None:
        """Drive what nobody drives: runs of a service before this one, or whose thread a fault of ours has ended."""
        with self.rooms.context.database.read() as session:
            query = select(Run.id, Run.sweep_id).where(Run.status.not_in(TERMINAL)).order_by(Run.id)
            open_runs = [(row[0], row[1]) for row in session.execute(query)]
        for run_id, sweep_id in open_runs:
            if sweep_id is None and not self.rooms.stopping.is_set():
                self.drive(run_id)
        for sweep_id in dict.fromkeys(sweep_id for _, sweep_id in open_runs if sweep_id is not None):
            self.drive_sweep(sweep_id)

    def finish(self, runs: Mapping[str, str | None], seconds: float) -> None:
        """Have these end, which are to be cancelled (run → its sweep), and wait for it, for so long each.

        Those that nobody drives yet come a few at a time.
        """
        names = list(runs)
        for first in range(0, len(names), self.of_sweep):
            batch = names[first : first + self.of_sweep]
            for run_id in batch:
                self.drive(run_id, runs[run_id])
            self.join(batch, seconds)

    def join(self, run_ids: Iterable[str], seconds: float) -> None:
        """Wait until nothing is done for these any more, for so long each."""
        for run_id in run_ids:
            with self._lock:
                thread = self._threads.get(run_id)
            if thread is not None:
                thread.join(seconds)

    def _living(self) -> dict[str, threading.Thread]:
        self._threads = {key: thread for key, thread in self._threads.items() if thread.is_alive()}
        return self._threads

    def _drive(self, driver: Driver, sweep_id: str | None) -> bool:
        run_id = driver.run_id
        if run_id in self._living():
            return False
        thread = threading.Thread(target=self._run, args=(driver, sweep_id), name=f"run-{run_id}", daemon=True)
        self._threads[run_id] = thread
        thread.start()
        return True

    def _run(self, driver: Driver, sweep_id: str | None) -> None:
        driver.run()
        if sweep_id is not None:
            with self._lock:
                self._threads.pop(driver.run_id, None)
            self.drive_sweep(sweep_id)
