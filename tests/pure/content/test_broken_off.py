"""Killed at any moment, and on a full disk: what is in the store is what its name says."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from himalia_server.content import ContentStore, MissingContent, digest_of
from tests.waiting import wait_until

WORKER = """
import os, random, sys, threading, time
from pathlib import Path
from himalia_server.content import ContentStore

root = Path(sys.argv[1])
draw = random.Random(int(sys.argv[2]))
store = ContentStore(root / "store")
(root / "began").touch()

def putting():
    while True:
        source = root / "source"
        source.write_bytes(draw.randbytes(draw.choice([10, 3_000_000])))
        store.put_file(source)

def taking(number):
    for turn in range(10**9):
        folder = root / f"work-{number}"
        folder.mkdir()
        for name in "abc":
            (folder / name).write_bytes(b"%d %d " % (number, turn) + name.encode() * 200_000)
        (folder / "whole").touch()
        entry = store.take_path(folder, leave=bool(turn % 2))
        if turn % 2:
            import shutil
            gone = root / f"gone-{number}"
            folder.rename(gone)
            shutil.rmtree(gone)
        store.materialise(entry.digest, root / f"out-{number}", exact=True)

def collecting():
    while True:
        store.collect([], older_than_s=0.05, dry_run=False)

for target, more in ((putting, ()), (taking, (1,)), (taking, (2,)), (collecting, ())):
    threading.Thread(target=target, args=more, daemon=True).start()
time.sleep(60)
"""


@pytest.mark.parametrize("seed", range(4))
def test_killed(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    kept = ContentStore(tmp_path / "store").put_bytes(b"of an earlier run")
    command = [sys.executable, "-c", WORKER, str(tmp_path), str(seed)]
    # in the repository, where the package may have to be found
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            wait_until(lambda: (tmp_path / "began").exists() or process.poll() is not None, 60, "the worker's start")
            time.sleep(draw.uniform(0.05, 0.5))
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
        finally:
            process.kill()
    store = ContentStore(tmp_path / "store")
    assert not list(store.incoming.iterdir())
    for path in store.objects.glob("*/*"):
        assert digest_of(path) == "sha256:" + path.parent.name + path.name
    # a folder that was being taken is whole, or not there at all
    for folder in tmp_path.glob("work-*"):
        if (folder / "whole").exists():
            assert {path.name for path in folder.iterdir()} == {"a", "b", "c", "whole"}
            entry = store.take_path(folder)
            store.verify(entry.digest)
    source = tmp_path / "source"
    assert store.put_file(source).digest == digest_of(source)
    assert store.put_bytes(b"of an earlier run") == kept
    assert store.collect([kept], older_than_s=-1, dry_run=False).kept_objects == 1
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("only root can mount a small disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "himalia-test", place], capture_output=True)
    if made.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    store = ContentStore(small_disk / "store")
    good = tmp_path / "good"
    good.write_bytes(os.urandom(1 << 20))
    entry = store.put_file(good)
    large = tmp_path / "folder" / "large"
    large.parent.mkdir()
    large.write_bytes(os.urandom(5 << 20))
    for call in (store.put_file, store.put_path, store.take, lambda path: store.put_bytes(path.read_bytes())):
        with pytest.raises(OSError, match="No space left"):
            call(large)
    with pytest.raises(OSError, match="No space left"):
        store.take_path(large.parent)
    assert large.stat().st_size == 5 << 20
    assert not list(store.incoming.iterdir())
    # laid out on the full disk: what was there stays
    target = small_disk / "out"
    target.write_bytes(b"before")
    (small_disk / "fill").write_bytes(bytes(2 << 20))
    with pytest.raises(OSError, match="No space left"):
        store.materialise(entry.digest, target)
    assert target.read_bytes() == b"before"
    assert sorted(path.name for path in small_disk.iterdir()) == ["fill", "out", "store"]
    store.verify(entry.digest)
    # not a byte is left for the memory of digests either
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "rest").write_bytes(bytes(4 << 20))
    many = [tmp_path / f"{number}" for number in range(300)]
    for path in many:
        path.write_bytes(path.name.encode())
        os.utime(path, (1, 1))
    assert all(digest_of(path) == known.digest for path, known in store.digests.of_many(many).items())
    assert store.put_file(good, entry) == entry
    (small_disk / "rest").unlink()
    assert store.collect([], older_than_s=-1, dry_run=False).objects == 1
    with pytest.raises(MissingContent):
        store.path(entry.digest)
    store.close()
