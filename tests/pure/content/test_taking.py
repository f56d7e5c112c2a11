"""Without copying: files taken into the store, and given out as hard links."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from himalia_server.content import ContentStore, FileEntry, Linked, MissingContent, UnfitContent, digest_of
from himalia_server.content.files import has_writers
from himalia_server.content.intake import Intake

LARGE = b"x" * (1 << 20)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ContentStore]:
    made = ContentStore(tmp_path / "store", hard_links=True)
    yield made
    made.close()


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were copied into the store."""
    names, whole = [], Intake.copy

    def copy(self: Intake, path: str, *more: object) -> object:
        names.append(Path(path).name)
        return whole(self, path)

    monkeypatch.setattr(Intake, "copy", copy)
    return names


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def test_what_is_known_and_there_is_not_read_again(tmp_path: Path, store: ContentStore, copied: list[str]) -> None:
    source = write(tmp_path / "a", b"abc")
    entry = store.put_file(source)
    assert store.put_file(source, entry) == entry
    assert copied == ["a"]
    os.utime(source, (1, 1))
    (tmp_path / "b").write_bytes(b"abc")
    store.put_file(tmp_path / "b", entry)
    assert copied == ["a"]


def test_an_object_that_was_cut_off_is_put_anew(tmp_path: Path, store: ContentStore) -> None:
    """As after a loss of power."""
    source = write(tmp_path / "a", b"abcdef")
    entry = store.put_file(source)
    for put in (lambda: store.put_file(source, entry), lambda: store.put_file(source), lambda: store.put_path(source)):
        path = store.path(entry.digest)
        path.chmod(0o600)
        path.write_bytes(b"")
        assert put() == entry
        assert path.read_bytes() == b"abcdef"


@pytest.mark.parametrize("leave", [False, True])
def test_taking_copies_nothing(tmp_path: Path, store: ContentStore, copied: list[str], leave: bool) -> None:
    source = write(tmp_path / "work" / "out.bin", LARGE)
    inode = source.stat().st_ino
    entry = store.take(source, leave=leave)
    assert store.path(entry.digest).stat().st_ino == inode
    assert store.path(entry.digest).stat().st_mode & 0o777 == 0o400
    assert source.exists() == leave
    if leave:  # whoever was killed before the commit does it again
        assert store.take(source, leave=True) == entry
        assert store.take(source) == entry
    assert not source.exists()
    assert copied == []
    assert not list(store.incoming.iterdir())


def test_the_same_bytes_are_taken_once(tmp_path: Path, store: ContentStore) -> None:
    entry = store.put_file(write(tmp_path / "a", LARGE))
    inode = store.path(entry.digest).stat().st_ino
    assert store.take(write(tmp_path / "b", LARGE)) == entry
    assert store.path(entry.digest).stat().st_ino == inode
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("mode", [0o644, 0o400])
def test_somebody_else_s_file_is_copied(tmp_path: Path, store: ContentStore, copied: list[str], mode: int) -> None:
    theirs = write(tmp_path / "live.csv", b"live")
    theirs.chmod(mode)
    (tmp_path / "out.csv").hardlink_to(theirs)
    entry = store.take(tmp_path / "out.csv")
    assert theirs.stat().st_mode & 0o777 == mode
    theirs.chmod(0o644)
    theirs.write_bytes(b"evil")
    assert store.path(entry.digest).read_bytes() == b"live"
    (tmp_path / "link").symlink_to(theirs)
    store.take(tmp_path / "link")
    assert theirs.read_bytes() == b"evil"
    assert theirs.stat().st_mode & 0o200
    assert copied == ["out.csv", "link"]


def test_a_file_that_is_still_written_to_is_copied(tmp_path: Path, store: ContentStore, copied: list[str]) -> None:
    source = tmp_path / "out"
    with source.open("wb") as writer:
        writer.write(b"done")
        writer.flush()
        with source.open("rb") as reader:
            if not has_writers(reader.fileno()):
                pytest.skip("this system does not tell who writes to a file")
        entry = store.take(source)
        writer.write(b" and more")
    assert copied == ["out"]
    assert store.path(entry.digest).read_bytes() == b"done"
    with pytest.raises(UnfitContent):
        store.take(tmp_path)


def test_another_file_system_is_copied_from(tmp_path: Path, store: ContentStore, copied: list[str]) -> None:
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system here")
    source = write(other / f"himalia-test-{os.getpid()}", LARGE)
    try:
        entry = store.take(source, leave=True)
        assert digest_of(store.path(entry.digest)) == entry.digest
        links = store.materialise(entry.digest, source, writable=False)
        assert links == []
        assert source.read_bytes() == LARGE
        assert copied == [source.name]
    finally:
        source.unlink()


def given_out(store: ContentStore, target: Path) -> Linked:
    """A hard link, told of by way of a file, as a service does that may be killed meanwhile."""
    digest = store.put_bytes(LARGE)
    links = store.materialise(digest, target, writable=False)
    return Linked(**json.loads(json.dumps(asdict(links[0]))))


def test_read_only_files_are_links(tmp_path: Path, store: ContentStore) -> None:
    link = given_out(store, tmp_path / "in" / "large")
    path = store.path(link.digest)
    assert (tmp_path / "in" / "large").samefile(path)
    assert store.materialise(link.digest, tmp_path / "in" / "large", writable=False)  # again, over itself
    assert [entry.name for entry in (tmp_path / "in").iterdir()] == ["large"]
    assert store.put_bytes(LARGE) == link.digest  # makes it younger, but not another
    (tmp_path / "in" / "large").unlink()
    assert store.check_unchanged([link]) == []
    small = store.put_bytes(LARGE[1:])
    assert store.materialise(small, tmp_path / "small", writable=False) == []
    assert (tmp_path / "small").stat().st_mode & 0o777 == 0o444
    assert store.materialise(link.digest, tmp_path / "own") == []
    (tmp_path / "own").write_bytes(b"changed by a stage")
    store.verify(link.digest)


def test_root_gets_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for uid, links in ((0, 0), (1000, 1)):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        store = ContentStore(tmp_path / str(uid))
        made = store.materialise(store.put_bytes(LARGE), tmp_path / f"out-{uid}", writable=False)
        assert len(made) == links


@pytest.mark.parametrize("how", ["write", "append", "shorten", "replaced"])
def test_a_change_in_place_is_found(tmp_path: Path, store: ContentStore, how: str) -> None:
    link, other = given_out(store, tmp_path / "a"), given_out(store, tmp_path / "b")
    target = tmp_path / "a"
    target.chmod(0o600)
    if how == "shorten":
        os.truncate(target, 7)
    else:
        with target.open("r+b" if how != "append" else "ab") as file:
            file.write(b"y")
    if how == "replaced":  # and another stage has put the right one meanwhile
        with pytest.raises(MissingContent):
            store.verify(link.digest)
        store.put_bytes(LARGE)
    assert store.check_unchanged([link, other]) == [link, other]
    if how == "replaced":
        store.verify(link.digest)
    else:
        with pytest.raises(MissingContent):
            store.path(link.digest)


def test_what_only_looks_changed_is_put_right(tmp_path: Path, store: ContentStore) -> None:
    link = given_out(store, tmp_path / "a")
    (tmp_path / "a").chmod(0o666)
    os.utime(tmp_path / "a", (1, 1))
    assert store.check_unchanged([link]) == []
    assert store.path(link.digest).stat().st_mode & 0o777 == 0o400


def test_links_in_a_folder(tmp_path: Path, store: ContentStore) -> None:
    write(tmp_path / "in" / "large", LARGE)
    write(tmp_path / "in" / "small", b"1")
    entry = store.put_path(tmp_path / "in")
    links = store.materialise(entry.digest, tmp_path / "out", writable=False, verify=True)
    assert [Path(link.target).name for link in links] == ["large"]
    # and over that one of one's own
    store.materialise(entry.digest, tmp_path / "out", exact=True)
    assert (tmp_path / "out" / "large").stat().st_nlink == 1
    (tmp_path / "out" / "large").write_bytes(b"own")
    assert store.check_unchanged(links) == []


@pytest.mark.parametrize("writable", [True, False])
def test_damage_harms_nothing_that_was_there(tmp_path: Path, store: ContentStore, writable: bool) -> None:
    target = write(tmp_path / "out" / "x", b"before")
    digest = store.put_bytes(LARGE)
    path = store.path(digest)
    path.chmod(0o600)
    path.write_bytes(b"y" * len(LARGE))
    with pytest.raises(MissingContent, match="damaged"):
        store.materialise(digest, target, verify=True, writable=writable)
    assert target.read_bytes() == b"before"
    assert [path.name for path in target.parent.iterdir()] == ["x"]
    with pytest.raises(MissingContent, match="not in the content store"):
        store.materialise(digest, target)
    assert store.put_bytes(LARGE) == digest
    store.materialise(digest, target, verify=True)


def test_verify_a_folder(tmp_path: Path, store: ContentStore) -> None:
    for name in "abc":
        write(tmp_path / "in" / name, name.encode())
    entry = store.put_path(tmp_path / "in")
    store.verify(entry.digest)
    assert store.renew(entry.digest)
    harmed = {name: store.put_bytes(name.encode()) for name in "ab"}
    for digest in harmed.values():
        store.path(digest).chmod(0o600)
        store.path(digest).write_bytes(b"?")
    with pytest.raises(MissingContent, match="And 1 more"):
        store.verify(entry.digest)
    assert not store.renew(entry.digest)
    for digest in harmed.values():
        with pytest.raises(MissingContent):
            store.path(digest)
    assert store.put_path(tmp_path / "in") == entry
    store.verify(entry.digest)


def test_a_pipe_is_refused_at_once(tmp_path: Path, store: ContentStore) -> None:
    os.mkfifo(tmp_path / "pipe")
    for call in (store.put_file, store.put_path, store.entry_of, store.take):
        with pytest.raises(UnfitContent):
            call(tmp_path / "pipe")


def test_a_source_that_changes_is_kept_as_it_was_stored(tmp_path: Path, store: ContentStore) -> None:
    source = write(tmp_path / "a", b"one")
    known = store.entry_of(source)
    source.write_bytes(b"two")
    assert store.put_file(source, known) == FileEntry(digest_of(source), 3)
