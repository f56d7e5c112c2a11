"""What nothing uses any more goes after some days; what anything uses stays. The clock is the test's."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from himalia_server.environments import Environments, collect, tidy
from himalia_server.environments.build import MARKER, Built, folder_of, key_of
from himalia_server.environments.lock import Lock, make_lock, parse_lock
from himalia_server.environments.source import LOCK, read_source
from himalia_server.locking import try_lock
from himalia_server.projects import EnvironmentTable
from himalia_server.store import Build, Environment, Kernel, Project, Run, now
from tests.pure.environments.conftest import Clock

DAY = 86400.0


def stored(room: Environments, name: str, clock: Clock) -> Environment:
    """An environment that is on the disk and in the store."""
    lock = make_lock(parse_lock(f"{name}==1.0").entries, None)
    folder = folder_of(room.root, name * 16)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    row = Environment(
        key=name * 16,
        lock=lock.digest,
        folder=str(folder),
        python=str(folder / "bin" / "python"),
        overlay=True,
        packages=1,
        bytes=4096,
        used_at=clock(),
    )
    built = Built(row.key, row.lock, row.folder, row.python, "3.11.7", "/usr/bin/python", True, 1, 4096, [])
    (folder / MARKER).write_text(json.dumps(asdict(built)))
    with room.context.database.write() as session:
        session.add(row)
    return row


def left(room: Environments) -> list[str]:
    return sorted(path.name[:1] for path in room.root.iterdir() if path.is_dir() and not path.name.startswith("."))


def test_each_user_keeps_an_environment(room: Environments, project: Project, clock: Clock) -> None:
    used, kernels, runs, idle = (stored(room, name, clock) for name in "abcd")
    with room.context.database.write() as session:
        session.get_one(Project, project.id).environment_id = used.id
        session.add(
            Kernel(id="k", project_id=project.id, token_id="t", owner_pid=1, owner_ticks="1", environment=kernels.lock)
        )
        for status, environment in (("running", runs.lock), ("succeeded", idle.lock)):
            session.add(
                Run(project_id=project.id, status=status, snapshot="s", created_by="ada", environment=environment)
            )
    clock.now += 6.9 * DAY
    tidy(room)
    assert left(room) == ["a", "b", "c", "d"]
    clock.now += 0.2 * DAY
    done = collect(room, 7)
    assert left(room) == ["a", "b", "c"]
    assert (done.removed, done.bytes) == (["d" * 16], 4096)
    # the days begin again when the last user is gone
    with room.context.database.write() as session:
        session.query(Kernel).delete()
        session.query(Run).delete()
    clock.now += 6.9 * DAY
    tidy(room)
    assert left(room) == ["a", "b", "c"]
    clock.now += 0.2 * DAY
    tidy(room)
    assert left(room) == ["a"]


def test_a_further_environment_is_used_by_its_last_good_build(
    room: Environments, project: Project, clock: Clock
) -> None:
    old, new = stored(room, "a", clock), stored(room, "b", clock)
    with room.context.database.write() as session:
        for number, (state, row) in enumerate([("ready", old), ("ready", new), ("failed", None)]):
            session.add(
                Build(
                    id=f"{number:05x}",
                    project_id=project.id,
                    name="gpu",
                    state=state,
                    source="s",
                    environment_id=row and row.id,
                    created_by="ada",
                )
            )
    assert collect(room, 0).removed == ["a" * 16]
    # one that himalia.toml does not name any more is nobody's
    tidy(room)
    with room.context.database.read() as session:
        assert session.query(Build).count() == 0
    assert collect(room, 0).removed == ["b" * 16]


def test_what_a_process_lives_in_stays(
    room: Environments, project: Project, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = stored(room, "a", clock)

    class Fake:
        def cmdline(self) -> list[str]:
            return [row.python, "-m", "ipykernel"]

    with monkeypatch.context() as patch:
        patch.setattr("himalia_server.environments.housekeeping.psutil.process_iter", lambda: [Fake()])
        assert collect(room, 0).removed == []
    assert collect(room, 0).removed == ["a" * 16]


def test_what_killed_builds_left_goes_but_not_what_is_being_built(room: Environments, clock: Clock) -> None:
    kept = stored(room, "a", clock)
    for name in ("b" * 16, "c" * 16):
        (room.root / name).mkdir()
    descriptor = try_lock(room.root / f"{'b' * 16}.lock")
    assert descriptor is not None
    collect(room, 7)
    assert left(room) == ["a", "b"]
    os.close(descriptor)
    collect(room, 7)
    assert left(room) == ["a"]
    assert Path(kept.folder).is_dir()


def test_old_builds_are_forgotten_but_the_one_in_use(room: Environments, project: Project) -> None:
    with room.context.database.write() as session:
        for number, state in enumerate(["failed", "ready", *["failed"] * 6]):
            session.add(Build(id=f"{number:05x}", project_id=project.id, state=state, source="s", created_by="ada"))
    for number in range(8):
        room.context.site.log(f"build-{number:05x}").write_text("said")
    tidy(room)
    logs = sorted(path.stem[-1] for path in (room.context.site.home / "logs").glob("build-*"))
    assert logs == ["1", "3", "4", "5", "6", "7"]
    with room.context.database.read() as session:
        assert sorted(row.id[-1] for row in session.query(Build)) == logs


def test_the_status_says_why_it_is_outdated(room: Environments, project: Project, clock: Clock) -> None:
    folder = Path(project.path)
    assert room.reader.status(project).state == "none"
    source = read_source(folder, EnvironmentTable(requirements="requirements.txt"))
    assert source is not None
    lock = make_lock(parse_lock("alpha==1.0").entries, source.digest)
    row = stored(room, "a", clock)
    python = ("/usr/bin/python", "3.11.7")
    with room.context.database.write() as session:
        kept = session.get_one(Environment, row.id)
        kept.key = key_of(lock.digest, source, python)
        kept.lock = lock.digest
        session.get_one(Project, project.id).environment_id = row.id
        session.add(
            Build(
                project_id=project.id,
                state="ready",
                source=source.digest,
                environment_id=row.id,
                created_by="ada",
                ended_at=now(),
            )
        )
    reasons = []

    def look() -> str:
        status = room.reader.status(project)
        reasons.append(status.reason)
        return status.state

    (folder / ".himalia").mkdir(exist_ok=True)
    assert look() == "outdated"  # there is no lock
    (folder / LOCK).write_text(lock.text)
    assert look() == "ready"
    (folder / LOCK).write_text(Lock(parse_lock("alpha==2.0").entries, source.digest).text)
    assert look() == "outdated"
    (folder / LOCK).write_text(lock.text)
    (folder / "requirements.txt").write_text("alpha>1\n")
    assert look() == "outdated"
    (folder / "requirements.txt").write_text("alpha\n")
    assert look() == "ready"
    with room.context.database.write() as session:
        session.get_one(Environment, row.id).key = "of another site"
    assert look() == "outdated"
    (Path(row.folder) / MARKER).unlink()
    assert look() == "outdated"
    told = [reason for reason in reasons if reason]
    assert len(set(told)) == 5, told
    # a kernel still starts: in the site's own, which is told
    (Path(row.folder) / "bin" / "python").unlink()
    used = room.for_kernel(project)
    assert (used.python, used.environment.digest) == (sys.executable, "shared")
    assert used.note is not None
    # and at the next start of the service it is forgotten
    room.resume()
    assert room.reader.status(project).state == "none"
