"""Folders as content: put, looked at, taken, laid out."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from himalia_server.content import ContentStore, FileEntry, MissingContent, UnfitContent, as_tree, is_tree
from himalia_server.content.intake import Intake
from tests.waiting import short_dir

PART = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=6)
NAMES = st.lists(PART.filter(lambda part: part not in (".", "..")), min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(NAMES, st.binary(max_size=40), max_size=6)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ContentStore]:
    made = ContentStore(tmp_path / "store")
    yield made
    made.close()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(FILES)
def test_a_folder_comes_back(tmp_path: Path, store: ContentStore, files: dict[str, bytes]) -> None:
    assume(not any(str(up) in files for name in files for up in PurePosixPath(name).parents))
    for made in ("in", "out", "again"):
        shutil.rmtree(tmp_path / made, ignore_errors=True)
    folder = write(tmp_path / "in", files)
    entry = store.put_path(folder)
    assert is_tree(entry.digest)
    assert entry.size == sum(map(len, files.values()))
    assert store.entry_of(folder) == entry
    # the same name as the list of its files has by itself
    assert as_tree(store.put_tree({n: FileEntry(store.put_bytes(d), len(d)) for n, d in files.items()})) == entry.digest
    store.materialise(entry.digest, tmp_path / "out")
    assert read(tmp_path / "out") == files
    assert store.take_path(tmp_path / "out") == entry
    assert not (tmp_path / "out").exists()
    store.materialise(entry.digest, tmp_path / "again", verify=True)
    assert read(tmp_path / "again") == files


def test_an_empty_folder(tmp_path: Path, store: ContentStore) -> None:
    (tmp_path / "in" / "inner").mkdir(parents=True)
    entry = store.put_path(tmp_path / "in")
    assert entry.size == 0
    store.materialise(entry.digest, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_looking_stores_nothing(tmp_path: Path, store: ContentStore) -> None:
    folder = write(tmp_path / "in", {"a": b"1", "b/c": b"22"})
    asked = [folder, folder / "a", tmp_path / "absent"]
    found = store.entries_of(asked)
    assert list(found) == asked[:2]
    assert [entry.size for entry in found.values()] == [3, 1]
    assert not list(store.objects.iterdir())
    assert store.put_paths(asked) == found
    for call in (store.entry_of, store.put_path, store.take_path):
        with pytest.raises(FileNotFoundError, match="absent"):
            call(tmp_path / "absent")


def test_links_inside_count_as_what_they_lead_to(tmp_path: Path, store: ContentStore) -> None:
    folder = write(tmp_path / "in", {"v1/a": b"1", "v2/a": b"2"})
    (folder / "latest").symlink_to("v2")
    (folder / "one").symlink_to(folder / "v1" / "a")
    expected = {"v1/a": b"1", "v2/a": b"2", "latest/a": b"2", "one": b"1"}
    entry = store.put_path(folder)
    store.materialise(entry.digest, tmp_path / "out")
    assert read(tmp_path / "out") == expected
    assert store.take_path(folder) == entry


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("out", "leaves the folder"),
        ("absolute", "leaves the folder"),
        ("beside", "leaves the folder"),
        ("nowhere", "leads nowhere"),
        ("circle", "round in circles"),
        ("loop", "leads nowhere"),
        ("pipe", "a pipe"),
        ("socket", "a socket"),
        ("backslash", "backslash"),
    ],
)
def test_what_cannot_be_kept_is_named(store: ContentStore, kind: str, text: str) -> None:
    with short_dir() as tmp:  # for the socket
        folder = write(tmp / "in", {"a": b"1", "deep/b": b"2"})
        write(tmp / "inside", {"secret": b"!"})  # begins as the folder's own name does
        unfit = folder / "deep" / ("x\\y" if kind == "backslash" else "x")
        links = {"out": "../../inside", "absolute": "/etc", "nowhere": "gone", "loop": "x", "circle": ".."}
        if kind in links:
            unfit.symlink_to(links[kind])
        elif kind == "beside":
            unfit.symlink_to(tmp / "inside" / "secret")
        elif kind == "pipe":
            os.mkfifo(unfit)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(unfit))
        else:
            unfit.write_bytes(b"")
        for call in (store.entry_of, store.put_path, store.take_path):
            with pytest.raises(UnfitContent, match=text) as caught:
                call(folder)
            assert "deep" in str(caught.value)
        assert (folder / "a").read_bytes() == b"1"


def test_drafts_of_a_killed_process_are_no_content(tmp_path: Path, store: ContentStore) -> None:
    folder = write(tmp_path / "in", {"a": b"1"})
    before = store.entry_of(folder)
    (folder / f".{'0123456789abcdef'}.himalia").write_bytes(b"half")
    assert store.entry_of(folder) == before


def test_folders_in_a_snapshot(tmp_path: Path, store: ContentStore) -> None:
    inner = store.put_path(write(tmp_path / "data", {"x/1": b"one", "2": b"two"}))
    outer = store.put_tree({"nb.ipynb": FileEntry(store.put_bytes(b"{}"), 2), "data": inner})
    assert not is_tree(outer)
    store.materialise(as_tree(outer), tmp_path / "out")
    assert read(tmp_path / "out") == {"nb.ipynb": b"{}", "data/x/1": b"one", "data/2": b"two"}


def test_exact_leaves_what_is_right_and_nothing_else(tmp_path: Path, store: ContentStore) -> None:
    entry = store.put_path(write(tmp_path / "in", {"same": b"1", "wrong": b"2", "dir/x": b"3", "file": b"4"}))
    target = write(tmp_path / "out", {"same": b"1", "wrong": b"?", "more/y": b"5", "dir": b"6", "file/z": b"7"})
    outside = write(tmp_path / "outside", {"mine": b"stays"})
    (target / "link").symlink_to(outside)
    inode = (target / "same").stat().st_ino
    store.materialise(entry.digest, target, exact=True)
    assert read(target) == {"same": b"1", "wrong": b"2", "dir/x": b"3", "file": b"4"}
    assert sorted(path.name for path in target.iterdir()) == ["dir", "file", "same", "wrong"]
    assert (target / "same").stat().st_ino == inode
    assert read(outside) == {"mine": b"stays"}


@pytest.mark.parametrize("at", ["", "sub"])
def test_nothing_is_written_through_a_link(tmp_path: Path, store: ContentStore, at: str) -> None:
    entry = store.put_path(write(tmp_path / "in", {"sub/x": b"1"}))
    outside = write(tmp_path / "outside", {})
    link = tmp_path / "out" / at if at else tmp_path / "out"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(UnfitContent, match="in the way"):
        store.materialise(entry.digest, tmp_path / "out")
    assert list(outside.iterdir()) == []


def test_a_list_with_a_path_that_leaves_is_never_laid_out(tmp_path: Path, store: ContentStore) -> None:
    """Such a list cannot be put as a tree, but its bytes as a file."""
    inner = store.put_bytes(b"1")
    evil = store.put_bytes(b'{"files":{"../../evil":{"digest":"%s","size":1}}}' % inner.encode())
    with pytest.raises(MissingContent):
        store.materialise(as_tree(evil), tmp_path / "a" / "b" / "out")
    assert not (tmp_path / "a" / "evil").exists()


def test_a_damaged_list_is_removed(tmp_path: Path, store: ContentStore) -> None:
    folder = write(tmp_path / "in", {"a": b"1"})
    entry = store.put_path(folder)
    path = store.path(entry.digest)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"b"'))
    with pytest.raises(MissingContent, match="damaged"):
        store.materialise(entry.digest, tmp_path / "out")
    assert not path.exists()
    assert store.put_path(folder) == entry
    store.materialise(entry.digest, tmp_path / "out")


def test_a_folder_whose_taking_fails_stays_whole(
    tmp_path: Path, store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{number}": b"%d" % number for number in range(20)}
    folder = write(tmp_path / "in", files)
    whole, calls = Intake.take, []

    def take(self: Intake, path: str, *more: object) -> FileEntry:
        calls.append(path)
        if len(calls) == 10:
            raise OSError(28, "No space left on device")
        return whole(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Intake, "take", take)
        with pytest.raises(OSError, match="No space"):
            store.take_path(folder)
    assert read(folder) == files
    entry = store.take_path(folder)
    store.materialise(entry.digest, tmp_path / "out")
    assert read(tmp_path / "out") == files
