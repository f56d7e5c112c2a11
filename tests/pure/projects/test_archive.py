"""Exports: the same content makes the same bytes, and nothing that was tampered with is unpacked."""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from himalia_server.projects.making.archive import INDEX, export, read_index, unpacked
from himalia_server.projects.making.contents import contents_of
from himalia_server.service.problems import Invalid, StorageFull

MANIFEST = """\
[project]
name = "x"
[environment]
requirements = "deps/req.in"
[stages.a]
notebook = "a.ipynb"
inputs = ["data/in.csv", "data/big.bin"]
outputs = ["build/out.json"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    for name, text in {
        "himalia.toml": MANIFEST,
        "a.ipynb": "{}",
        "src/m.py": "x = 1\n",
        "README.md": "# x",
        "deps/req.in": "numpy",
        "data/in.csv": "1",
        "data/big.bin": "x" * 5000,
        "data/undeclared.csv": "no",
        "build/out.json": "{}",
        ".himalia/environment.lock": "numpy==2",
        ".himalia/project.json": "{}",
        ".env": "SECRET=canary",
    }.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    (place / "run.py").write_text("#!")
    (place / "run.py").chmod(0o755)
    (place / "leak.py").symlink_to("/etc/hostname")
    return place


def exported(folder: Path, tmp_path: Path, name: str = "one.zip", **more: Any) -> Path:
    scratch = tmp_path / f"scratch-{name}"
    scratch.mkdir()
    settings = {"data": True, "outputs": False, "limit": 1000} | more
    export(folder, "x", tmp_path / name, scratch, **settings)
    return tmp_path / name


def quiet(_step: str, _percent: int | None) -> None:
    pass


def test_what_goes_along(folder: Path) -> None:
    held = contents_of(folder, data=True, limit=1000)
    assert held.files == [
        ".himalia/environment.lock",
        "README.md",
        "a.ipynb",
        "data/in.csv",
        "deps/req.in",
        "himalia.toml",
        "run.py",
        "src/m.py",
    ]
    assert held.left_out == {"data/big.bin": 5000}
    assert "build/out.json" in contents_of(folder, data=False, outputs=True).files
    assert "data/in.csv" not in contents_of(folder, data=False).files


FOLDERS = """\
[project]
name = "x"
[stages.a]
notebook = "data/a.ipynb"
inputs = ["data"]
outputs = ["build/parts"]
[stages.b]
notebook = "data/a.ipynb"
inputs = ["build/parts/one.json", "src"]
"""


def test_folders_that_are_inputs_and_outputs(folder: Path) -> None:
    (folder / "himalia.toml").write_text(FOLDERS)
    for name in ("data/a.ipynb", "data/deep/x.json", "build/parts/one.json", "build/parts/two.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    (folder / "data" / ".git").mkdir()
    (folder / "data" / ".git" / "config").write_text("no data")
    (folder / "data" / "leak").symlink_to("/etc/hostname")
    (folder / "src" / "m.json").write_text("{}")
    code = [
        "README.md",
        "a.ipynb",
        "build/out.json",
        "data/a.ipynb",
        "himalia.toml",
        "run.py",
        "src/m.json",
        "src/m.py",
    ]
    code = sorted([".himalia/environment.lock", *code])
    data = ["data/big.bin", "data/deep/x.json", "data/in.csv", "data/undeclared.csv"]
    parts = ["build/parts/one.json", "build/parts/two.bin"]
    bare = contents_of(folder, data=False)
    assert (bare.files, bare.left_out) == (code, {"data": 5005})
    whole = contents_of(folder, data=True)
    assert (whole.files, whole.left_out) == (sorted([*code, *data]), {})
    bounded = contents_of(folder, data=True, outputs=True, limit=5006)
    assert (bounded.files, bounded.left_out) == (sorted([*code, *parts]), {"data": 5005})


def test_same_content_same_bytes_and_back(folder: Path, tmp_path: Path) -> None:
    first = exported(folder, tmp_path)
    os.utime(folder / "a.ipynb", (1, 1))
    second = exported(folder, tmp_path, "two.zip")
    assert first.read_bytes() == second.read_bytes()
    unpacked(first)(tmp_path / "back", quiet)
    again = exported(tmp_path / "back", tmp_path, "three.zip")
    assert read_index(again)["digest"] == read_index(first)["digest"]
    assert (tmp_path / "back" / "run.py").stat().st_mode & stat.S_IXUSR
    assert not (tmp_path / "back" / "src" / "m.py").stat().st_mode & stat.S_IXUSR


def rebuilt(
    source: Path, target: Path, change: Callable[[dict[str, Any], list[tuple[zipfile.ZipInfo, bytes]]], None]
) -> Path:
    """The archive with another index, or other members."""
    with zipfile.ZipFile(source) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()[1:]]
        index = json.loads(archive.read(INDEX))
    change(index, members)
    from himalia_server.projects.making.archive import _digest

    index.setdefault("keep", False)
    if not index.pop("keep"):
        index["digest"] = _digest(index["files"])
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(INDEX, json.dumps(index))
        for info, data in members:
            archive.writestr(info, data)
    return target


def add(name: str, mode: int = stat.S_IFREG | 0o644, **entry: Any) -> Callable[..., None]:
    def change(index: dict[str, Any], members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        members.append((info, b"x"))
        sha = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of b"x"
        index["files"][name] = {"digest": f"sha256:{sha}", "size": 1, "executable": False} | entry

    return change


TRICKS: dict[str, Callable[..., None]] = {
    "above": add("../evil.py"),
    "absolute": add("/tmp/evil.py"),
    "dots inside": add("a/../../evil.py"),
    "backslash": add("..\\evil.py"),
    "git hook": add(".git/hooks/post-checkout"),
    "git hook in other letters": add("sub/.GIT/config"),
    "our mark": add(".himalia/project.json"),
    "symbolic link": add("link.py", stat.S_IFLNK | 0o777),
    "device": add("dev.py", stat.S_IFCHR | 0o600),
    "another digest": add("evil.py", digest="sha256:" + "0" * 64),
    "longer than it says": add("evil.py", size=0),
    "shorter than it says": add("evil.py", size=7),
    "no size": add("evil.py", size="1"),
    "not in the index": lambda index, members: members.append((zipfile.ZipInfo("more.py"), b"x")),
    "not in the archive": lambda index, members: members.pop(),
    "twice": lambda index, members: members.append(members[-1]),
    "another index": lambda index, members: index.update(keep=True, digest="sha256:" + "0" * 64),
    "no files": lambda index, members: index.update(files={}),
}


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_was_tampered_with_is_refused(folder: Path, tmp_path: Path, trick: str) -> None:
    bad = rebuilt(exported(folder, tmp_path), tmp_path / "bad.zip", TRICKS[trick])
    (tmp_path / "place").mkdir()
    with pytest.raises(Invalid, match="no whole export"):
        unpacked(bad)(tmp_path / "place" / "back", quiet)
    assert not (tmp_path / "place" / "evil.py").exists()
    assert not (tmp_path / "evil.py").exists()


def test_every_changed_byte_is_noticed_or_harmless(folder: Path, tmp_path: Path) -> None:
    whole = exported(folder, tmp_path).read_bytes()
    digest = read_index(tmp_path / "one.zip")["digest"]
    for number, position in enumerate(range(0, len(whole), 37)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        file, back = tmp_path / "damaged.zip", tmp_path / f"back-{number}"
        file.write_bytes(damaged)
        try:
            unpacked(file)(back, quiet)
        except Invalid:
            continue
        assert read_index(exported(back, tmp_path, f"again-{number}.zip"))["digest"] == digest
    for end in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.zip").write_bytes(whole[:end])
        with pytest.raises(Invalid):
            unpacked(tmp_path / "cut.zip")(tmp_path / "cut", quiet)


def test_a_bomb_fills_nothing(tmp_path: Path) -> None:
    index = {
        "format": 1,
        "name": "x",
        "left_out": {},
        "files": {"b": {"digest": "sha256:0", "size": 1 << 49, "executable": False}},
    }
    from himalia_server.projects.making.archive import _digest

    index["digest"] = _digest(index["files"])  # type: ignore[arg-type]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(INDEX, json.dumps(index))
        archive.writestr("b", b"\0" * (1 << 20))
    file = tmp_path / "bomb.zip"
    file.write_bytes(buffer.getvalue())
    with pytest.raises((Invalid, StorageFull)):
        unpacked(file)(tmp_path / "back", quiet)
    assert not (tmp_path / "back").exists()


def test_a_link_at_the_place_of_a_lock_does_not_go_along(folder: Path, tmp_path: Path) -> None:
    (folder / ".himalia" / "leak.lock").symlink_to("/etc/hostname")
    assert ".himalia/environment.lock" in contents_of(folder, data=True).files
    assert ".himalia/leak.lock" not in contents_of(folder, data=True).files
    outside = tmp_path / "outside"
    (folder / ".himalia").rename(outside)
    (folder / ".himalia").symlink_to(outside)
    assert not [name for name in contents_of(folder, data=True).files if name.startswith(".himalia")]


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED, 99])
def test_an_archive_with_a_damaged_index_is_told(folder: Path, tmp_path: Path, method: int) -> None:
    whole = exported(folder, tmp_path)
    with zipfile.ZipFile(whole) as archive:
        index = archive.read(INDEX)
    damaged = tmp_path / "damaged.zip"
    with zipfile.ZipFile(damaged, "w") as archive:
        archive.writestr(INDEX, index, zipfile.ZIP_DEFLATED if method == 99 else method)
    data = bytearray(damaged.read_bytes())
    if method == 99:
        entry = data.find(b"PK\x01\x02")
        data[8], data[entry + 10] = 99, 99
    else:
        start = 30 + len(INDEX) + 6
        data[start : start + 60] = bytes(byte ^ 0x5A for byte in data[start : start + 60])
    damaged.write_bytes(data)
    with pytest.raises(Invalid, match="no whole export"):
        read_index(damaged)
