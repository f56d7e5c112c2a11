"""Archives that were made to do harm, and names in /tmp that somebody else took first."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from himalia_server.service.backup import INDEX, BackupError, restore
from himalia_server.service.site import Site, private_folder


def plain(name: str, data: bytes = b"evil") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    return member, data


def special(name: str, kind: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member, b""


def archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    index = json.dumps({"format": 1, "entries": {}}).encode()
    with tarfile.open(path, "w:gz") as made:
        for member, data in [*members, plain(INDEX, index)]:
            made.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    "members",
    [
        [plain("../outside")],
        [plain("content/../../outside")],
        [plain("/tmp/hm-outside")],
        [plain("content/..")],
        [plain(".")],
        [special("content", tarfile.SYMTYPE, "/tmp"), plain("content/hm-outside")],
        [special("content", tarfile.SYMTYPE, "..")],
        [special("content/x", tarfile.LNKTYPE, "../../outside")],
        [special("content/x", tarfile.CHRTYPE)],
        [special("content/x", tarfile.BLKTYPE)],
        [special("content/x", tarfile.FIFOTYPE)],
        [special("content", tarfile.DIRTYPE)],
        [plain("site.json"), plain("site.json")],
        [plain("content/x"), plain("content//x")],
        [plain("content/x"), plain("content/x/y")],
        [plain("content/" + "x" * 300)],
        [plain("x\n" * 5)],
    ],
    ids=lambda members: ", ".join(f"{member.type.decode()} {member.name[:30]!r}" for member, _ in members),
)
def test_what_is_no_plain_file_inside_is_refused(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    made = archive(tmp_path / "evil.tar.gz", members)
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises((BackupError, OSError)):
        restore(made, place / "site", replace=False, progress=lambda _: None)
    assert list(place.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.tar.gz", "place"]
    assert not Path("/tmp/hm-outside").exists()


def test_a_bomb_is_refused_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 GiB of zeros is 1 MiB of archive. The free space is made up: a real disk would have to be filled."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=80 << 20))
    written: list[int] = []
    monkeypatch.setattr("himalia_server.service.backup._extract", lambda *_: written.append(1))
    made = archive(tmp_path / "bomb.tar.gz", [plain("content/zeros", bytes(20 << 20))])
    with pytest.raises(BackupError, match="no room for content/zeros"):
        restore(made, tmp_path / "site", replace=False, progress=lambda _: None)
    assert written == []


def test_a_bomb_as_index_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("himalia_server.service.backup.INDEX_BYTES", 10)
    with pytest.raises(BackupError, match="its index has"):
        restore(archive(tmp_path / "b.tar.gz", []), tmp_path / "site", replace=False, progress=lambda _: None)


@pytest.mark.parametrize("claimed", ["/", "{home}", "{tmp}/precious", "relative", "{tmp}/himalia-other", 5])
def test_a_folder_for_sockets_that_is_not_ours_is_not_taken(tmp_path: Path, claimed: object) -> None:
    """What is remembered may come from a backup, and that folder is emptied when the service ends."""
    site = Site.open(tmp_path / "site")
    site.remember(runtime=claimed.format(home=Path.home(), tmp=tmp_path) if isinstance(claimed, str) else claimed)
    assert site.runtime.name in (f"himalia-{site.id}", f"himalia-{os.getuid()}-{site.id}")
    assert site.runtime.parent != tmp_path


def test_a_link_is_no_private_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(Exception, match="not a folder of this user"):
        private_folder(tmp_path / "link")
