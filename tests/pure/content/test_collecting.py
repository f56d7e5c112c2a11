"""Collecting what nothing refers to."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from himalia_server.content import Collected, CollectRefused, ContentStore, FileEntry, as_tree, holding, is_tree
from himalia_server.content.objects import Ages, Objects


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ContentStore]:
    made = ContentStore(tmp_path / "store")
    yield made
    made.close()


def here(store: ContentStore) -> set[str]:
    return {"sha256:" + path.parent.name + path.name for path in store.objects.glob("*/*")}


def names(*digests: str) -> set[str]:
    return {digest.removeprefix("tree:") for digest in digests}


TREES = st.lists(st.lists(st.integers(0, 7), max_size=4), max_size=5)
"""Each lists files (0 to 3) and earlier trees (4 on)."""


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TREES, st.sets(st.integers(0, 8)), st.booleans())
def test_what_is_live_stays_and_nothing_else(
    tmp_path: Path, store: ContentStore, trees: list[list[int]], chosen: set[int], plain: bool
) -> None:
    made = [FileEntry(store.put_bytes(b"%d" % number), 1) for number in range(4)]
    needs = [{entry.digest} for entry in made]
    for listed in trees:
        inside = [index for index in listed if index < len(made)]
        digest = as_tree(store.put_tree({f"n{index}": made[index] for index in inside}))
        made.append(FileEntry(digest, 1))
        needs.append(names(digest).union(*(needs[index] for index in inside)))
    roots = [index for index in chosen if index < len(made)]
    live = [made[index].digest for index in roots]
    if plain:  # as snapshots are named
        live = [digest.removeprefix("tree:") for digest in live]
    expected = set().union(*(needs[index] for index in roots))
    before = here(store)
    promised = store.collect(live, older_than_s=-1, dry_run=True)
    assert here(store) == before
    assert store.collect(iter(live), older_than_s=-1, dry_run=False) == promised
    assert here(store) == expected
    assert (promised.objects, promised.kept_objects) == (len(before - expected), len(expected))
    assert promised.missing == ()
    for digest in live:
        assert store.renew(digest)


def test_sizes_are_told_and_what_is_missing(store: ContentStore) -> None:
    kept, _gone = store.put_bytes(b"12345"), store.put_bytes(b"123")
    lost = "sha256:" + "0" * 64
    assert store.collect([kept, lost], older_than_s=-1, dry_run=False) == Collected(1, 3, 1, 5, (lost,))
    with pytest.raises(ValueError, match="not a digest"):
        store.collect(["latest"], older_than_s=-1, dry_run=False)
    assert here(store) == {kept}


def test_the_young_stay(store: ContentStore) -> None:
    digest = store.put_bytes(b"1")
    store.collect([], older_than_s=3600, dry_run=False)
    assert here(store) == {digest}


@pytest.mark.parametrize("how", ["put_bytes", "put_file", "take", "put_path", "renew", "renew folder", "put_tree"])
def test_what_is_put_again_is_young(tmp_path: Path, store: ContentStore, how: str) -> None:
    """Between the look at its age and its removal: the moment that must not be lost."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    digest = store.put_file(folder / "a").digest
    tree = store.put_path(folder).digest
    again = {
        "put_bytes": lambda: store.put_bytes(b"1"),
        "put_file": lambda: store.put_file(folder / "a"),
        "take": lambda: store.take(folder / "a"),
        "put_path": lambda: store.put_path(folder),
        "renew": lambda: store.renew(digest),
        "renew folder": lambda: store.renew(tree),
        "put_tree": lambda: store.put_tree({"x": FileEntry(digest, 1)}),
    }
    time.sleep(0.3)  # the objects get an age that can be told
    whole, done = Objects.remove_old, []

    def remove_old(self: Objects, path: str, before: float) -> int | None:
        if not done:
            done.append(again[how]())
        return whole(self, path, before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objects, "remove_old", remove_old)
        store.collect([], older_than_s=0.15, dry_run=False)
    assert done
    assert digest in here(store)


def test_putting_and_collecting_at_once(store: ContentStore) -> None:
    """Whoever puts something finds it there for as long as was promised, though others of its kind are removed."""
    stop, faults, puts = threading.Event(), [], []

    def put(number: int) -> None:
        draw = random.Random(number)
        while not stop.wait(draw.uniform(0, 0.1)):
            began = time.monotonic()
            digest = store.put_bytes(b"%d" % draw.randrange(20))
            there = (store.objects / digest[7:9] / digest[9:]).exists()
            puts.append(digest)
            if not there and time.monotonic() - began < 0.05:
                faults.append(digest)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    removed = 0
    deadline = time.monotonic() + 30
    while (removed < 20 or len(puts) < 60) and time.monotonic() < deadline:
        removed += store.collect([], older_than_s=0.1, dry_run=False).objects
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert removed >= 20


def test_what_is_committed_meanwhile_is_asked_for_last(store: ContentStore) -> None:
    digest = store.put_bytes(b"1")

    def live() -> Iterator[str]:
        yield digest
        yield store.put_bytes(b"put while the database was asked")

    found = store.collect(live(), older_than_s=0, dry_run=False)
    assert found.kept_objects == 2


def test_a_backup_has_the_store_to_itself(tmp_path: Path, store: ContentStore) -> None:
    digest = store.put_bytes(b"1")
    with holding(tmp_path / "store"), holding(tmp_path / "store"):
        with pytest.raises(CollectRefused, match="backup"):
            store.collect([], older_than_s=-1, dry_run=False)
        store.collect([], older_than_s=-1, dry_run=True)
        assert here(store) == {digest}
    store.collect([], older_than_s=-1, dry_run=False)
    assert here(store) == set()


def test_what_is_no_object_stays(store: ContentStore) -> None:
    (store.objects / "README").write_text("mine")
    (store.objects / "ab").mkdir()
    (store.objects / "ab" / "notes").write_text("mine")
    (store.objects / "ab" / ("F" * 62)).write_text("mine")
    assert store.collect([], older_than_s=-1, dry_run=False) == Collected(0, 0, 0, 0)
    assert len(list(store.objects.rglob("*"))) == 4


def test_a_damaged_list_stops_nothing(store: ContentStore) -> None:
    tree = as_tree(store.put_tree({"a": FileEntry(store.put_bytes(b"1"), 1)}))
    assert is_tree(tree)
    path = store.path(tree)
    path.chmod(0o600)
    path.write_bytes(b'{"files":{"a":')
    assert store.collect([tree], older_than_s=-1, dry_run=False).kept_objects == 1


class Clocks:
    """What the wall's clock says, and what has passed."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000.0, 50.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_a_clock_that_is_set_forward_makes_nothing_old(clocks: Clocks) -> None:
    ages = Ages(lambda: clocks.wall, lambda: clocks.steady)
    clocks.pass_(5000)
    ages.look()
    put = clocks.wall
    clocks.pass_(60)
    clocks.wall += 7200
    assert ages.now(3600) - put == pytest.approx(60)
    clocks.pass_(3600)
    # by now it is old in truth, and the clock may be believed again
    assert ages.now(3600) == pytest.approx(clocks.wall)


def test_a_clock_that_is_set_back_and_right_again(clocks: Clocks) -> None:
    ages = Ages(lambda: clocks.wall, lambda: clocks.steady)
    clocks.wall -= 7200
    ages.look()
    put = clocks.wall
    clocks.pass_(10)
    clocks.wall += 7200
    assert ages.now(3600) - put == pytest.approx(10)


def test_a_clock_that_only_goes(clocks: Clocks) -> None:
    ages = Ages(lambda: clocks.wall, lambda: clocks.steady)
    for _ in range(100):
        clocks.pass_(3600)
        clocks.wall += 0.02  # corrected a little
        assert ages.now(60) == pytest.approx(clocks.wall, abs=2)
