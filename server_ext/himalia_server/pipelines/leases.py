"""How many stages run at a time: slots of pools, lent for a while and renewed as long as they are needed.

What is lent is in the store, so that the service that comes after a killed one counts what still runs; what is not
renewed is free again after `SECONDS`, unless this process has lent it: it knows when that ends, however long it takes.
Who waits is known to this process only, and is served fairly: the project with the fewest slots first, then the older
run.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from ..store import Database, Lease, now

SECONDS = 90.0
"""For which a slot is lent."""
RENEW_SECONDS = 20.0
"""After which it is to be renewed."""
PATIENCE = 10.0
"""Seconds after which a wish that is not repeated is none any more."""


@dataclass(frozen=True)
class Pool:
    """A pool and its number of slots. `title`: what a person calls it."""

    name: str
    limit: int
    title: str


@dataclass(frozen=True)
class Wait:
    """Why there is no slot: the pool that lacks it, and words."""

    pool: Pool
    words: str


@dataclass
class _Wish:
    run: str
    project: str
    pools: list[Pool]
    asked_at: float


class Leases:
    """The pools of one site. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.changed = threading.Condition()
        """Told of each slot that becomes free."""
        self._wishes: dict[str, _Wish] = {}
        self._lent: set[str] = set()
        """Holders of what this process has lent and not got back."""

    def take(self, holder: str, pools: list[Pool], *, run: str, project: str) -> Wait | None:
        """A slot of each of *pools*, or none of any: then why not. Who has them already keeps them.

        Ask again when `changed` tells; call `give_back` when it is no longer wanted.
        """
        with self.changed, self.database.write() as session:
            time = now()
            session.execute(delete(Lease).where(Lease.expires_at < time, Lease.holder.not_in(self._lent)))
            rows = list(session.scalars(select(Lease)))
            mine = {row.pool for row in rows if row.holder == holder}
            missing = [pool for pool in pools if pool.name not in mine]
            for pool in missing:
                used = [row.holder for row in rows if row.pool == pool.name]
                if len(used) >= pool.limit:
                    self._wishes[holder] = _Wish(run, project, missing, time)
                    return Wait(pool, _busy(pool, used))
            first = self._before(holder, missing, run, project, rows, time)
            if first is not None:
                self._wishes[holder] = _Wish(run, project, missing, time)
                return Wait(first, f"another run waits longer for {first.title}")
            self._wishes.pop(holder, None)
            for pool in missing:
                session.add(Lease(pool=pool.name, holder=holder, taken_at=time, expires_at=time + SECONDS))
            self._lent.add(holder)
            return None

    def _before(
        self, holder: str, missing: list[Pool], run: str, project: str, rows: list[Lease], time: float
    ) -> Pool | None:
        """A pool that somebody else is to be served from first."""
        # whoever waits asks again and again
        self._wishes = {name: wish for name, wish in self._wishes.items() if wish.asked_at > time - PATIENCE}

        def turn(run: str, project: str) -> tuple[int, str]:
            held = {row.holder for row in rows if row.holder.startswith(f"{project}/")}
            return len(held), run

        mine = turn(run, project)
        for other, wish in self._wishes.items():
            if other == holder or wish.run == run or turn(wish.run, wish.project) >= mine:
                continue
            # one that waits for something else as well must not hold up those who could go on
            if any(sum(row.pool == pool.name for row in rows) >= pool.limit for pool in wish.pools):
                continue
            for pool in missing:
                free = pool.limit - sum(row.pool == pool.name for row in rows)
                if free <= 1 and any(pool.name == wanted.name for wanted in wish.pools):
                    return pool
        return None

    def renew(self, holders: list[str]) -> None:
        """These still need theirs."""
        if holders:
            with self.database.write() as session:
                session.execute(update(Lease).where(Lease.holder.in_(holders)).values(expires_at=now() + SECONDS))

    def give_back(self, holder: str) -> None:
        """No longer needed, or no longer wanted."""
        with self.changed:
            self._wishes.pop(holder, None)
            self._lent.discard(holder)
            with self.database.write() as session:
                session.execute(delete(Lease).where(Lease.holder == holder))
            self.changed.notify_all()

    def give_back_run(self, project: str, run: str) -> None:
        """All that a run holds or wants: it has ended."""
        with self.changed:
            self._wishes = {holder: wish for holder, wish in self._wishes.items() if wish.run != run}
            self._lent = {holder for holder in self._lent if not holder.startswith(f"{project}/{run}/")}
            with self.database.write() as session:
                session.execute(delete(Lease).where(Lease.holder.startswith(f"{project}/{run}/", autoescape=True)))
            self.changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Until something became free, or for *seconds*."""
        with self.changed:
            self.changed.wait(seconds)


def holder_of(project: str, run: str, stage: str) -> str:
    """Who holds the slots of a stage."""
    return f"{project}/{run}/{stage}"


def _busy(pool: Pool, used: list[str]) -> str:
    if pool.limit == 1 and used:
        project, run, stage = used[0].split("/")
        return f"{pool.title} is taken by {stage} of {project} (run {run})"
    shown = ", ".join("{0}/{2}".format(*holder.split("/")) for holder in sorted(used)[:3])
    return f"{len(used)} of {pool.limit} slots of {pool.title} are taken ({shown}{', …' if len(used) > 3 else ''})"
