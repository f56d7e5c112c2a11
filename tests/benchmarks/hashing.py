"""How quickly digests of inputs are known: a few large files, and a folder of many small ones.

    python -m tests.benchmarks.hashing [--megabytes 256] [--files 10000] [--full] [--folder FOLDER]

--full: 5 GB in five files and 100,000 small files. Three states of each: "disk", read from the disk with an empty
memory of digests; "hashed", in the system's cache, with an empty memory; "known", asked again, with the memory. Beside
it, as the limit, coreutils' sha256sum and md5sum on the same files in the same state, as many at once as there are
processors; and for "known" a walk with one stat a file (`find -printf`), less than which nobody can do. Then what the
store does with the folder: put, put again, laid out, restored, collected. Prints wall seconds, CPU seconds (of the
children for the peers) and the ratio of wall seconds to sha256sum's; and how much the machine's speed varied.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from himalia_server.content import ContentStore
from himalia_server.content.digests import RACY_SECONDS

LARGE_FILES = 5
SMALL_BYTES = 2_000
BLOCK = 1 << 20
REPEATS = 2


@dataclass(frozen=True)
class Took:
    """Seconds of one measurement, by the clock and of all processors."""

    wall: float
    cpu: float


def measured(work: Callable[[], object]) -> Took:
    """Run once."""
    before, began = os.times(), time.perf_counter()
    work()
    wall, after = time.perf_counter() - began, os.times()
    return Took(wall, sum(after[:4]) - sum(before[:4]))


def row(name: str, took: Took, limit: Took | None = None) -> None:
    """A line of the table."""
    ratio = f"{took.wall / limit.wall:>9.2f}" if limit else ""
    print(f"  {name:<44}{took.wall:>9.2f}{took.cpu:>9.2f}{ratio}", flush=True)


def noise() -> str:
    """How long the same work takes, several times: hashing 64 MB from memory."""
    data = bytes(64 << 20)
    times = []
    for _ in range(9):
        began = time.perf_counter()
        hashlib.sha256(data).digest()
        times.append(time.perf_counter() - began)
    load = os.getloadavg()[0]
    return (
        f"the same hash 9 times: {min(times):.3f} to {max(times):.3f} s; load {load:.1f}, {os.cpu_count()} processors"
    )


def make_large(folder: Path, megabytes: int) -> None:
    """*megabytes* in five files that nothing can compress or share."""
    folder.mkdir()
    draw = random.Random(1)
    for number in range(LARGE_FILES):
        with (folder / f"{number}.bin").open("wb") as file:
            block = bytearray(draw.randbytes(BLOCK))
            for index in range(megabytes // LARGE_FILES):
                block[:8] = index.to_bytes(8, "little")
                file.write(block)


def make_small(folder: Path, count: int) -> None:
    """*count* different files of about 2 kB, a thousand a folder."""
    for number in range(count):
        place = folder / f"{number // 1000:03}"
        if number % 1000 == 0:
            place.mkdir(parents=True)
        (place / f"{number:06}.csv").write_bytes(b"%08d\n" % number * (SMALL_BYTES // 9))


def forget(folder: Path) -> None:
    """Have the system drop its cache of these files."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def coreutils(program: str, folder: Path, at_once: int, each: int) -> None:
    """Hash every file of *folder* with *program*, *each* files a process."""
    with subprocess.Popen(["find", str(folder), "-type", "f", "-print0"], stdout=subprocess.PIPE) as found:
        subprocess.run(
            ["xargs", "-0", "-P", str(at_once), "-n", str(each), program],
            stdin=found.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
        )


def walk(folder: Path) -> None:
    """One stat a file, in C."""
    subprocess.run(["find", str(folder), "-printf", "%s %T@ %C@ %i\n"], stdout=subprocess.DEVNULL, check=True)


def compare(title: str, folder: Path, root: Path, each: int) -> None:
    """One kind of folder in its three states. *each*: files that a process of the peers gets."""
    at_once = os.cpu_count() or 1
    time.sleep(RACY_SECONDS + 0.1)
    print(f"\n{title}")
    print(f"  {'':<44}{'wall s':>9}{'CPU s':>9}{'ratio':>9}")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    forget(folder)
    limit = measured(lambda: coreutils("sha256sum", folder, at_once, each))
    row("disk: sha256sum (limit)", limit)
    forget(folder)
    store = ContentStore(root / "disk")
    row("disk: ours", measured(lambda: store.entry_of(folder)), limit)
    store.close()
    measured(lambda: coreutils("md5sum", folder, at_once, each))  # the system's cache is full now
    for again in range(REPEATS):
        limit = measured(lambda: coreutils("sha256sum", folder, at_once, each))
        row("hashed: sha256sum (limit)", limit)
        row("hashed: md5sum", measured(lambda: coreutils("md5sum", folder, at_once, each)), limit)
        store = ContentStore(root / f"hashed-{again}")
        row("hashed: ours, a folder", measured(lambda store=store: store.entry_of(folder)), limit)  # type: ignore[misc]
        if again < REPEATS - 1:
            store.close()
    for _ in range(REPEATS):
        row("known: find -printf, one stat a file (limit)", measured(lambda: walk(folder)), limit)
        row("known: ours, a folder", measured(lambda: store.entry_of(folder)), limit)
        row("known: ours, a list of paths", measured(lambda: store.digests.of_many(paths)), limit)
    store.close()


def keep(title: str, folder: Path, root: Path) -> None:
    """What the store does with a folder, beside `cp -r` and `rm -r` of it."""
    store = ContentStore(root / "store", hard_links=True)
    print(f"\n{'the store, ' + title:<46}{'wall s':>9}{'CPU s':>9}{'ratio':>9}")
    copying = measured(lambda: subprocess.run(["cp", "-r", folder, root / "copy"], check=True))
    row("cp -r (limit)", copying)
    row("put, new", measured(lambda: store.put_path(folder)), copying)
    row("put, known", measured(lambda: store.put_path(folder)), copying)
    digest = store.entry_of(folder).digest
    row("laid out, writable", measured(lambda: store.materialise(digest, root / "out")), copying)
    row("laid out, read-only", measured(lambda: store.materialise(digest, root / "ro", writable=False)), copying)
    row("taken", measured(lambda: store.take_path(root / "out", leave=True)), copying)
    row("renewed", measured(lambda: store.renew(digest)), copying)
    row("collect, all live", measured(lambda: store.collect([digest], older_than_s=0, dry_run=False)), copying)
    row("rm -r of the copy", measured(lambda: subprocess.run(["rm", "-r", root / "copy"], check=True)), copying)
    shutil.rmtree(root / "out")
    shutil.rmtree(root / "ro")
    row("collect, nothing live", measured(lambda: store.collect([], older_than_s=0, dry_run=False)), copying)
    store.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hashing")
    parser.add_argument("--megabytes", type=int, default=256, help="of the large files together")
    parser.add_argument("--files", type=int, default=10_000, help="small ones")
    parser.add_argument("--full", action="store_true", help="5 GB and 100,000 files")
    parser.add_argument("--folder", type=Path, default=None, help="where to put them; default: the system's temp")
    options = parser.parse_args()
    megabytes, files = (5_120, 100_000) if options.full else (options.megabytes, options.files)
    with tempfile.TemporaryDirectory(prefix="hashing-", dir=options.folder) as name:
        root = Path(name)
        print(noise())
        make_large(root / "large", megabytes)
        compare(f"{megabytes} MB in {LARGE_FILES} files", root / "large", root / "stores-large", each=1)
        for path in (root / "large").glob("[1-9].bin"):
            path.unlink()  # one is enough for what comes, and for the disk
        keep(f"one file of {megabytes // LARGE_FILES} MB", root / "large", root)
        shutil.rmtree(root / "large")
        make_small(root / "small", files)
        compare(f"{files} files of {SMALL_BYTES} bytes", root / "small", root / "stores-small", each=1000)
        keep(f"{files} files", root / "small", root)
        print(f"\n{noise()}")


if __name__ == "__main__":
    main()
