"""In which order stages begin when slots become free, and others fail, in the middle of a look."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from himalia_server.pipelines import Options
from himalia_server.pipelines.driving import driver as module
from himalia_server.pipelines.driving.driver import Driver
from himalia_server.pipelines.graph import Graph
from himalia_server.pipelines.leases import Leases, Pool, Wait, holder_of
from himalia_server.pipelines.planning import Planned
from himalia_server.projects import parse_manifest
from himalia_server.store import Database

MANIFEST = parse_manifest(
    """
[project]
name = "p"
[stages.first]
notebook = "n.ipynb"
[stages.second]
notebook = "n.ipynb"
after = ["first"]
[stages.third]
notebook = "n.ipynb"
after = ["first"]
"""
)


class Recorder:
    """What was put down, in place of the one that needs a run in the store."""

    def __init__(self, statuses: dict[str, str]) -> None:
        self.statuses = statuses
        self.waits: dict[str, str] = {}

    def waiting(self, name: str, reason: str) -> None:
        self.waits[name] = reason

    def end(self, name: str, outcome: dict[str, Any], *, ran: bool = False) -> None:
        self.statuses[name] = outcome["status"]

    def note_key(self, name: str, planned: Planned) -> None:
        assert planned.action == "run"


class Hooked(Leases):
    """Leases with something that happens right after the first answer."""

    after: Callable[[], None] | None = None

    def take(self, holder: str, pools: list[Pool], *, run: str, project: str) -> Wait | None:
        answer = super().take(holder, pools, run=run, project=project)
        hook, self.after = self.after, None
        if hook is not None:
            hook()
        return answer


@pytest.fixture
def leases(tmp_path: Path) -> Iterator[Hooked]:
    database = Database(tmp_path / "store.db", tmp_path / "backups")
    database.migrate()
    yield Hooked(database)
    database.close()


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that were begun; none of them really runs."""
    names: list[str] = []

    def job(_driver: Driver, name: str, _planned: Planned | None) -> Any:
        names.append(name)
        return SimpleNamespace(name=name, thread=threading.Thread(target=lambda: None))

    monkeypatch.setattr(module, "Job", job)
    return names


def drive(leases: Leases, statuses: dict[str, str]) -> Driver:
    """A driver in the middle of a run with one slot."""
    driver = Driver(cast(Any, SimpleNamespace(leases=leases, stages=1, pools={})), "r")
    graph = Graph.of(MANIFEST)
    driver.recorder = cast(Any, Recorder(statuses))
    driver.state = cast(
        Any,
        SimpleNamespace(
            statuses=statuses,
            manifest=MANIFEST,
            options=Options(),
            project=SimpleNamespace(slug="p"),
            scene=SimpleNamespace(graph=graph, newest={}),
        ),
    )
    driver._decide = lambda name: Planned(name, "run", "new")  # type: ignore[method-assign]
    return driver


def test_a_slot_that_becomes_free_in_between_is_for_the_earlier_stage(leases: Hooked, begun: list[str]) -> None:
    first = holder_of("p", "r", "first")
    assert leases.take(first, [Pool("site", 1, "the site")], run="r", project="p") is None
    driver = drive(leases, {"first": "succeeded", "second": "pending", "third": "pending"})
    leases.after = lambda: leases.give_back(first)  # its thread does so, after the second stage was refused
    assert driver._advance() is False
    assert begun == []
    waits = cast(Recorder, driver.recorder).waits
    assert waits["third"] == "waiting because an earlier stage of this run waits for the site"
    driver._advance()
    assert begun == ["second"]


def test_a_stage_does_not_begin_when_another_one_fails_meanwhile(leases: Hooked, begun: list[str]) -> None:
    statuses = {"first": "succeeded", "second": "running", "third": "pending"}
    driver = drive(leases, statuses)
    driver._jobs["second"] = cast(Any, None)  # it has a thread
    leases.after = lambda: statuses.update(second="failed")
    driver._advance()
    assert begun == []
    assert statuses["third"] == "not_run"
    assert leases.take(holder_of("p", "r", "x"), [Pool("site", 1, "the site")], run="r", project="p") is None
