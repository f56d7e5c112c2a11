"""Slots: lent for a while, taken together or not at all, in a fair order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from himalia_server.pipelines import leases as module
from himalia_server.pipelines.leases import PATIENCE, SECONDS, Leases, Pool, holder_of
from himalia_server.store import Database

SITE = Pool("site", 2, "the site")
GPU = Pool("pool/gpu", 1, "the pool gpu")


class Clock:
    def __init__(self) -> None:
        self.time = 1_790_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "now", clock)
    return clock


@pytest.fixture
def leases(tmp_path: Path, clock: Clock) -> Iterator[Leases]:
    database = Database(tmp_path / "store.db", tmp_path / "backups")
    database.migrate()
    yield Leases(database)
    database.close()


def take(leases: Leases, run: str, stage: str, *pools: Pool, project: str = "p") -> str | None:
    wait = leases.take(holder_of(project, run, stage), list(pools or (SITE,)), run=run, project=project)
    return wait and wait.words


def test_no_more_than_there_are(leases: Leases) -> None:
    assert take(leases, "r1", "a") is None
    assert take(leases, "r1", "b") is None
    assert take(leases, "r1", "c") == "2 of 2 slots of the site are taken (p/a, p/b)"
    assert take(leases, "r1", "a") is None  # who has one keeps it
    leases.give_back(holder_of("p", "r1", "a"))
    assert take(leases, "r1", "c") is None


def test_all_of_them_or_none(leases: Leases) -> None:
    assert take(leases, "r1", "a", SITE, GPU) is None
    assert take(leases, "r1", "b", SITE, GPU) == "the pool gpu is taken by a of p (run r1)"
    assert take(leases, "r1", "c") is None  # b holds none of the site's meanwhile
    leases.give_back_run("p", "r1")
    assert take(leases, "r2", "b", SITE, GPU) is None


def test_what_a_service_before_has_lent_is_free_when_it_is_not_renewed(leases: Leases, clock: Clock) -> None:
    assert take(Leases(leases.database), "r1", "a", GPU) is None
    clock.time += SECONDS - 1
    leases.renew([holder_of("p", "r1", "a")])
    clock.time += SECONDS - 1
    assert take(leases, "r2", "b", GPU) is not None
    clock.time += 2
    assert take(leases, "r2", "b", GPU) is None


def test_what_this_service_has_lent_is_not_free_before_it_comes_back(leases: Leases, clock: Clock) -> None:
    """MLflow may be away, or a large output be kept, for longer than anybody renews anything."""
    assert take(leases, "r1", "a", GPU) is None
    clock.time += 10 * SECONDS
    assert take(leases, "r2", "b", GPU) is not None
    leases.give_back(holder_of("p", "r1", "a"))
    assert take(leases, "r2", "b", GPU) is None
    clock.time += 10 * SECONDS
    leases.give_back_run("p", "r2")
    assert take(leases, "r3", "c", GPU) is None


def test_another_service_counts_what_still_runs(leases: Leases) -> None:
    assert take(leases, "r1", "a", GPU) is None
    after = Leases(leases.database)
    assert take(after, "r2", "b", GPU) is not None
    assert take(after, "r1", "a", GPU) is None


def test_the_project_with_fewer_slots_and_the_older_run_come_first(leases: Leases, clock: Clock) -> None:
    assert take(leases, "r1", "a", project="big") is None
    assert take(leases, "r1", "b", project="big") is None
    assert take(leases, "r2", "x", project="small") is not None
    assert take(leases, "r1", "c", project="big") is not None
    leases.give_back(holder_of("big", "r1", "a"))
    assert take(leases, "r1", "c", project="big") == "another run waits longer for the site"
    assert take(leases, "r2", "x", project="small") is None
    # of one project the older run, unless it has given up
    assert take(leases, "r3", "y", project="small") is not None
    assert take(leases, "r4", "z", project="small") is not None
    leases.give_back(holder_of("small", "r2", "x"))
    assert take(leases, "r4", "z", project="small") == "another run waits longer for the site"
    clock.time += PATIENCE + 1
    assert take(leases, "r4", "z", project="small") is None


def test_who_waits_for_something_else_holds_nobody_up(leases: Leases) -> None:
    assert take(leases, "r1", "a", SITE, GPU, project="one") is None
    assert take(leases, "r0", "b", SITE, GPU, project="two") is not None
    assert take(leases, "r2", "c", project="one") is None


def test_many_at_once_get_no_more_than_there_are(leases: Leases) -> None:
    pool, got = Pool("site", 5, "the site"), []

    def ask(number: int) -> None:
        if leases.take(holder_of("p", "r", str(number)), [pool], run="r", project="p") is None:
            got.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 5
