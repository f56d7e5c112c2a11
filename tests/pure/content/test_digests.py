"""The memory of digests."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from himalia_server.content import Cancelled, Digests, FileEntry, UnfitContent, digests, files

DAY = 86_400


class Clock:
    """The time, and *ahead* seconds more: from 10 on, no file of a test was written just now."""

    def __init__(self) -> None:
        self.ahead = 10.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Iterator[Digests]:
    made = Digests(tmp_path / "memory" / "digests.db", clock=clock)
    yield made
    made.close()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each file that was hashed."""
    sizes: list[int] = []

    def hash_rest(source: int, tick: files.Tick = files.no_tick, copy: int | None = None) -> tuple[str, int]:
        found = files.hash_rest(source, tick, copy)
        sizes.append(found[1])
        return found

    monkeypatch.setattr(digests, "hash_rest", hash_rest)
    return sizes


def true_entry(path: Path) -> FileEntry:
    data = path.read_bytes()
    return FileEntry("sha256:" + hashlib.sha256(data).hexdigest(), len(data))


@pytest.mark.parametrize("size", [0, 1, files.SMALL - 1, files.SMALL, files.SMALL + 1, 3 * files.BLOCK + 7])
def test_a_file_is_read_once(tmp_path: Path, memory: Digests, read: list[int], size: int) -> None:
    (tmp_path / "a").write_bytes(os.urandom(size))
    for _ in range(3):
        assert memory.of(tmp_path / "a") == true_entry(tmp_path / "a")
    assert read == [size]


def test_what_was_written_just_now_is_read_again(
    tmp_path: Path, memory: Digests, clock: Clock, read: list[int]
) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    clock.ahead = 0.0
    memory.of(tmp_path / "a")
    memory.of(tmp_path / "a")
    assert read == [3, 3]
    clock.ahead = 10.0
    memory.of(tmp_path / "a")
    memory.of(tmp_path / "a")
    assert read == [3, 3, 3]


def test_a_coarse_file_system_deceives_nobody(
    tmp_path: Path, memory: Digests, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written twice within what such a file system tells apart: all that can be seen is the same."""
    monkeypatch.setattr(digests, "state_of", lambda status: f"{status.st_ino} {status.st_size}".encode())
    clock.ahead = 0.0
    for data in (b"one", b"two"):
        (tmp_path / "a").write_bytes(data)
        assert memory.of(tmp_path / "a") == true_entry(tmp_path / "a")


STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "replace", "swap", "old time", "look"]), st.binary(min_size=2, max_size=2)),
    min_size=2,
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_no_change_goes_unseen(tmp_path: Path, memory: Digests, steps: list[tuple[str, bytes]]) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"00")
    other.write_bytes(b"11")
    for step, data in steps:
        if step == "write":
            path.write_bytes(data)
        elif step == "replace":
            (tmp_path / "c").write_bytes(data)
            (tmp_path / "c").replace(path)
        elif step == "swap":
            path.rename(tmp_path / "c")
            other.rename(path)
            (tmp_path / "c").rename(other)
        elif step == "old time":
            path.write_bytes(data)
            os.utime(path, ns=(10**18, 10**18))
        found = memory.of_many([path, other])
        # these files are older than two seconds to the memory, so that only their state can tell
        assert found == {path: true_entry(path), other: true_entry(other)}


def test_a_file_that_is_written_while_it_is_read_is_not_remembered(
    tmp_path: Path, memory: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"before")

    def hash_rest(source: int, tick: files.Tick = files.no_tick) -> tuple[str, int]:
        found = files.hash_rest(source, tick)
        (tmp_path / "a").write_bytes(b"after!")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(digests, "hash_rest", hash_rest)
        assert memory.of(tmp_path / "a").digest.endswith(hashlib.sha256(b"before").hexdigest())
    assert memory.of(tmp_path / "a") == true_entry(tmp_path / "a")


def test_it_is_still_known_after_a_restart(tmp_path: Path, memory: Digests, clock: Clock, read: list[int]) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    memory.of(tmp_path / "a")
    memory.close()
    with closing(Digests(memory.file, clock=clock)) as again:
        assert again.of(tmp_path / "a") == true_entry(tmp_path / "a")
    assert read == [3]


def harm(file: Path, how: str) -> None:
    for beside in (f"{file}-wal", f"{file}-shm"):
        Path(beside).unlink(missing_ok=True)
    if how == "garbage":
        file.write_bytes(b"no database" * 1000)
    elif how == "cut":
        data = file.read_bytes()
        file.write_bytes(data[:5000] + b"\xff" * (len(data) - 5000))
    else:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("DROP TABLE digests")
            connection.execute("CREATE TABLE digests (something TEXT)")
            connection.execute(f"PRAGMA user_version = {99 if how == 'newer' else digests.FORMAT}")
            connection.commit()


@pytest.mark.parametrize("how", ["garbage", "cut", "newer", "other table"])
def test_a_damaged_memory_is_made_anew(
    tmp_path: Path, memory: Digests, read: list[int], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [tmp_path / f"{number:03}" for number in range(200)]
    for path in paths:
        path.write_bytes(path.name.encode())
    expected = {path: true_entry(path) for path in paths}
    assert memory.of_many(paths) == expected
    memory.close()
    harm(memory.file, how)
    assert memory.of_many(paths) == expected
    before = len(read)
    assert memory.of_many(paths) == expected
    assert len(read) == before >= 400
    assert how == "newer" or "made anew" in caplog.text


def test_without_a_memory_files_are_hashed(
    tmp_path: Path, memory: Digests, caplog: pytest.LogCaptureFixture, read: list[int]
) -> None:
    memory.file.mkdir(parents=True)  # SQLite cannot open that
    (tmp_path / "a").write_bytes(b"abc")
    with caplog.at_level(logging.WARNING):
        assert memory.of(tmp_path / "a") == memory.of(tmp_path / "a") == true_entry(tmp_path / "a")
    assert read == [3, 3]
    assert "cannot be used" in caplog.text


def kept(memory: Digests) -> set[str]:
    with closing(sqlite3.connect(memory.file)) as connection:
        return {Path(path).name for (path,) in connection.execute("SELECT path FROM digests")}


def test_what_nobody_asked_for_in_30_days_is_dropped(tmp_path: Path, memory: Digests, clock: Clock) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    memory.of_many([tmp_path / "a", tmp_path / "b"])
    clock.ahead = 20 * DAY
    memory.of(tmp_path / "b")
    assert kept(memory) == {"a", "b"}
    clock.ahead = 32 * DAY
    memory.of(tmp_path / "c")
    assert kept(memory) == {"b", "c"}
    clock.ahead = 90 * DAY
    memory.close()
    memory.of_many([])
    memory.recall([])
    memory.of(tmp_path / "a")
    assert kept(memory) == {"a"}


def test_many_threads(tmp_path: Path, memory: Digests) -> None:
    paths = [tmp_path / f"{number:03}" for number in range(100)]
    for path in paths:
        path.write_bytes(path.name.encode() * 50)
    expected = {path: true_entry(path) for path in paths}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda start: memory.of_many(paths[start:] + paths[:start]), range(0, 96, 4)))
    assert all(entries == expected for entries in found)
    assert list(found[3]) == paths[12:] + paths[:12]


def test_progress_is_told_by_the_caller_s_thread(tmp_path: Path, memory: Digests) -> None:
    for number in range(5):
        (tmp_path / str(number)).write_bytes(bytes(number * 5 << 20))
    told: list[tuple[int, int]] = []
    threads = set()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        threads.add(threading.current_thread())

    memory.of_many([tmp_path / str(number) for number in range(5)], progress)
    assert told == sorted(told)
    assert told[-1] == (50 << 20, 50 << 20)
    assert {total for _, total in told} == {50 << 20}
    assert threads == {threading.current_thread()}


def test_cancelling_keeps_what_was_done(tmp_path: Path, memory: Digests, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"abc")
    large.write_bytes(b"x" * (9 << 20))
    begun, go_on = threading.Event(), threading.Event()

    def hash_rest(source: int, tick: files.Tick = files.no_tick) -> tuple[str, int]:
        if os.fstat(source).st_size > 3:
            begun.set()
            assert go_on.wait(30)
        return files.hash_rest(source, tick)

    def cancelled() -> bool:
        """Once the small one is done, and the large one has begun."""
        if begun.is_set() and done:
            threading.Timer(0.2, go_on.set).start()
            return True
        return False

    done: list[int] = []
    monkeypatch.setattr(digests, "hash_rest", hash_rest)
    with pytest.raises(Cancelled):
        memory.of_many([large, small], lambda count, _total: done.append(count) if count else None, cancelled)
    assert kept(memory) == {"small"}


def test_only_ordinary_files(tmp_path: Path, memory: Digests) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "pipe")
    absent = [tmp_path / "absent", tmp_path / "a" / "below"]
    assert set(memory.of_many([*absent, tmp_path / "link"])) == {tmp_path / "link"}
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(UnfitContent, match="not an ordinary file"):
            memory.of(path)
    with pytest.raises(FileNotFoundError, match="absent"):
        memory.of(tmp_path / "absent")


def test_names_that_are_no_text(tmp_path: Path, memory: Digests, read: list[int]) -> None:
    named = [tmp_path / os.fsdecode(b"caf\xe9"), tmp_path / "caf\u00e9 'x' \"\n"]
    for path in named:
        path.write_bytes(path.name.encode(errors="surrogateescape"))
    for _ in range(2):
        assert memory.of_many(named) == {path: true_entry(path) for path in named}
    assert len(read) == 3
