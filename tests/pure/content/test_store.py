"""The content store."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia_server.content import ContentStore, FileEntry, MissingContent, digest_of


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


def test_a_file_comes_back_byte_for_byte_and_writable(store: ContentStore, tmp_path: Path) -> None:
    source = tmp_path / "in.bin"
    source.write_bytes(bytes(range(256)) * 5000)
    entry = store.put_file(source)
    assert entry.digest == "sha256:" + hashlib.sha256(source.read_bytes()).hexdigest()
    assert entry.size == source.stat().st_size
    store.materialise(entry.digest, tmp_path / "a" / "out.bin", verify=True)
    (tmp_path / "a" / "out.bin").write_bytes(b"changed by a stage")
    store.materialise(entry.digest, tmp_path / "b.bin", verify=True)
    assert (tmp_path / "b.bin").read_bytes() == source.read_bytes()


def test_the_same_bytes_are_kept_once(store: ContentStore) -> None:
    assert store.put_bytes(b"x") == store.put_bytes(b"x")
    assert sum(1 for path in store.objects.rglob("*") if path.is_file()) == 1
    assert not list(store.incoming.iterdir())


def test_trees(store: ContentStore) -> None:
    entry = FileEntry(store.put_bytes(b"1"), 1)
    first = store.put_tree({"b/c.py": entry, "a.py": entry})
    assert first == store.put_tree({"a.py": entry, "b/c.py": entry})
    assert store.tree(first) == {"a.py": entry, "b/c.py": entry}


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a\\b", ""])
def test_a_tree_cannot_leave_its_folder(store: ContentStore, name: str) -> None:
    with pytest.raises(ValueError, match="relative path"):
        store.put_tree({name: FileEntry(store.put_bytes(b"1"), 1)})


def test_damage_is_found(store: ContentStore, tmp_path: Path) -> None:
    digest = store.put_bytes(b"good")
    path = store.path(digest)
    path.chmod(0o600)
    path.write_bytes(b"evil")
    with pytest.raises(MissingContent, match="damaged"):
        store.materialise(digest, tmp_path / "x", verify=True)
    assert not (tmp_path / "x").exists()


@given(st.text(max_size=80))
def test_no_text_but_a_digest_names_an_object(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    store = ContentStore(tmp_path_factory.getbasetemp() / "any")
    with pytest.raises((ValueError, MissingContent)):
        store.path(text)


def test_digest_of(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(b"")
    assert digest_of(tmp_path / "e") == "sha256:" + hashlib.sha256(b"").hexdigest()
