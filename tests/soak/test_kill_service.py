"""The service SIGKILLed again and again at random moments: while it works, starts, stops and migrates."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from himalia_server.service import lifecycle
from himalia_server.store.copying import upgrade
from himalia_server.store.engines import Sqlite
from tests.site.lab import Lab, running_lab
from tests.soak.invariants import check
from tests.soak.kit import Ledger, Workload, furnish, himalia, kill, service_processes, times
from tests.waiting import wait_until

SEED = int(os.environ.get("HIMALIA_SOAK_SEED") or time.time())


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_lab() as made:
        yield made


def end_service(lab: Lab, how: str, chance: random.Random) -> None:
    """SIGKILL the service: as it works, some moments into its start, or some moments into its end."""
    if how == "starting":
        for process in service_processes(lab.site):
            kill(process.pid)
        starter = subprocess.Popen(
            [sys.executable, "-c", "from himalia_server.cli import main; main()", "status", "--json"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with contextlib.suppress(AssertionError):
            wait_until(lambda: service_processes(lab.site), 20, "a start")
        time.sleep(chance.uniform(0, 1.5))
        starter.wait(120)
    elif how == "stopping":
        for process in service_processes(lab.site):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        time.sleep(chance.uniform(0, 0.6))
    for process in service_processes(lab.site):
        kill(process.pid)


@pytest.mark.timeout(3600)
def test_the_service_is_killed_at_random_moments(lab: Lab) -> None:
    furnish(lab)
    ledger, chance = Ledger(), random.Random(SEED)
    work = Workload(lab, ledger)
    work.start(work.runs, work.runs, work.keys, work.projects, work.aliases, work.events, work.predictions)
    count = times(50)
    done: dict[str, int] = {}
    for number in range(count):
        time.sleep(chance.uniform(0.3, 6))
        how = ("working", "working", "working", "starting", "stopping")[number % 5]
        end_service(lab, how, chance)
        done[how] = done.get(how, 0) + 1
    time.sleep(5)
    work.stop()
    print(f"\nseed {SEED}; killed {done}; {ledger.summary()}")
    assert check(lab, ledger) == []
    assert ledger.events
    assert ledger.answered
    assert ledger.unanswered == 0, "the endpoint does not depend on the service"


@pytest.mark.timeout(1800)
def test_the_service_is_killed_while_it_migrates(lab: Lab, tmp_path: Path) -> None:
    """A database of the schema before, with data, and a kill at a random moment of the start that migrates it."""
    lab.post("/projects", {"name": "kept", "path": str(_folder(lab))})
    lab.stop()
    database, chance = lab.site.database, random.Random(SEED)
    _to_first_schema(database, tmp_path / "first.db")
    for _ in range(times(10)):
        starter = subprocess.Popen(
            [sys.executable, "-c", "from himalia_server.cli import main; main()", "up"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: service_processes(lab.site), 20, "the start")
        time.sleep(chance.uniform(0.2, 1.6))
        for process in service_processes(lab.site):
            kill(process.pid)
        starter.wait(120)
        with contextlib.closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("SELECT slug FROM projects").fetchall() == [("kept",)]
        (database.with_name("himalia.db-wal")).unlink(missing_ok=True)
        _to_first_schema(database, tmp_path / "first.db")
    assert himalia("up").returncode == 0
    lab.found = lifecycle.find(lab.site)
    assert [project["slug"] for project in lab.get("/projects")["items"]] == ["kept"]
    assert lab.get("/audit/check")["whole"]
    for backup in (lab.home / "backups").glob("*.db"):
        with contextlib.closing(sqlite3.connect(backup)) as connection:
            assert connection.execute("SELECT slug FROM projects").fetchall() == [("kept",)], backup


def _folder(lab: Lab) -> Path:
    folder = lab.root / "projects" / "kept"
    folder.mkdir(parents=True)
    (folder / "himalia.toml").write_text('[project]\nname = "kept"\n')
    return folder


def _to_first_schema(database: Path, kept: Path) -> None:
    """Write *database* anew with the rows it had when *kept* was first made, in the first schema."""
    if not kept.exists():
        first = Sqlite(kept)
        with first.engine.connect().execution_options(himalia_write=True) as connection:
            upgrade(connection, "0001")
            connection.commit()
        first.close()
        with contextlib.closing(sqlite3.connect(kept)) as connection:
            connection.execute("ATTACH ? AS now", (str(database),))
            connection.execute("PRAGMA foreign_keys=OFF")
            for (table,) in connection.execute("SELECT name FROM main.sqlite_master WHERE type='table'").fetchall():
                if table in ("alembic_version", "sqlite_sequence"):
                    continue
                columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
                names = ", ".join(f'"{name}"' for name in columns)
                connection.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM now.{table}")
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    database.write_bytes(kept.read_bytes())
