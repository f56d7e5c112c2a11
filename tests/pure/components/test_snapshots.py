"""Trees laid out to import from."""

from __future__ import annotations

from pathlib import Path

import pytest

from himalia_server.components.snapshots import Snapshots, numbered
from himalia_server.content import ContentStore, FileEntry, MissingContent


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def put(store: ContentStore, files: dict[str, str]) -> dict[str, FileEntry]:
    return {name: FileEntry(store.put_bytes(text.encode()), len(text)) for name, text in files.items()}


def test_laid_out_once_and_read_only(tmp_path: Path, store: ContentStore) -> None:
    digest = store.put_tree(put(store, {"a.py": "x = 1", "b/c.py": "y = 2"}))
    snapshots = Snapshots(store, tmp_path / "sources")
    folder = snapshots.folder(digest)
    assert (folder / "b/c.py").read_text() == "y = 2"
    assert (folder / "a.py").stat().st_mode & 0o777 == 0o444
    before = (folder / "a.py").stat().st_ino
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").touch()
    assert snapshots.folder(digest) == folder
    assert (folder / "a.py").stat().st_ino == before


@pytest.mark.parametrize("harm", ["change", "remove", "add", "link"])
def test_what_somebody_changed_is_put_right(tmp_path: Path, store: ContentStore, harm: str) -> None:
    digest = store.put_tree(put(store, {"a.py": "x = 1", "b/c.py": "y = 2"}))
    snapshots = Snapshots(store, tmp_path / "sources")
    folder = snapshots.folder(digest)
    if harm == "change":
        (folder / "a.py").chmod(0o600)
        (folder / "a.py").write_text("x = 9")
    elif harm == "remove":
        (folder / "b/c.py").unlink()
    elif harm == "add":
        (folder / "os.py").write_text("evil")
    else:
        (folder / "a.py").unlink()
        (tmp_path / "elsewhere").write_text("x = 1")
        (folder / "a.py").symlink_to(tmp_path / "elsewhere")
    again = snapshots.folder(digest)
    found = sorted(path.relative_to(again).as_posix() for path in again.rglob("*") if path.is_file())
    assert found == ["a.py", "b/c.py"]
    assert ((again / "a.py").read_text(), (again / "a.py").is_symlink()) == ("x = 1", False)
    assert [path.name for path in (tmp_path / "sources").iterdir()] == [digest.removeprefix("sha256:")]


def test_a_damaged_store_is_told(tmp_path: Path, store: ContentStore) -> None:
    files = put(store, {"a.py": "x = 1"})
    digest = store.put_tree(files)
    damaged = store.path(files["a.py"].digest)
    damaged.chmod(0o600)
    damaged.write_text("x = 2")
    with pytest.raises(MissingContent, match="damaged"):
        Snapshots(store, tmp_path / "sources").folder(digest)
    assert list((tmp_path / "sources").iterdir()) == []


def test_parts_keep_their_order(tmp_path: Path, store: ContentStore) -> None:
    parts = [put(store, {f"m{place}.py": str(place)}) for place in range(12)]
    digest = store.put_tree(numbered([*parts]))
    found = Snapshots(store, tmp_path / "sources").parts(digest)
    assert [path.name for path in found] == [str(place) for place in range(12)]
