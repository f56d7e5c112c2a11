"""What is told of files that differ: lines that are right, within bounds, and nothing of what lies elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia_server.content import ContentStore
from himalia_server.pipelines import differences, file_changes
from himalia_server.pipelines.differences import text_difference
from himalia_server.pipelines.file_changes import Differing, FileChanges, differing_files
from himalia_server.pipelines.keys import Parts
from himalia_server.pipelines.status_models import ChangedFile

LINES = st.lists(st.sampled_from("abcd"), max_size=30)


def text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def patched(old: list[str], diff: str) -> list[str]:
    """*old* as a difference changes it, by the numbers of its hunks."""
    made, at = list[str](), 0
    for line in diff.split("\n"):
        if found := re.match(r"@@ -(\d+)(?:,(\d+))? \+\d+", line):
            start = int(found[1]) - (found[2] != "0")
            made += old[at:start]
            at = start
        elif line[0] == "+":
            made.append(line[1:])
        else:
            assert line[1:] == old[at], line
            made += [old[at]] if line[0] == " " else []
            at += 1
    return made + old[at:]


@given(LINES, LINES, LINES, LINES)
def test_a_difference_makes_the_new_text_of_the_old(
    head: list[str], tail: list[str], one: list[str], two: list[str]
) -> None:
    old, new = head + one + tail, head + two + tail
    diff, cut, note = text_difference(text(old), text(new))
    if old == new:
        assert diff is None
        return
    assert (cut, note) == (False, None)
    assert diff is not None
    assert patched(old, diff) == new


def test_a_difference_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [f"line {number}" for number in range(50_000)]
    diff, cut, note = text_difference("", text(many))
    assert diff is not None
    assert (len(diff.split("\n")), cut, note) == (differences.LINES, True, None)
    exact = [f"line {number}" for number in range(differences.LINES - 1)]
    diff, cut, _ = text_difference("", text(exact))
    assert diff is not None
    assert (len(diff.split("\n")), cut) == (differences.LINES, False)
    # what takes long is not tried
    monkeypatch.setattr(differences.difflib, "unified_diff", lambda *_, **__: pytest.fail("it was tried"))
    diff, cut, note = text_difference(text(many), text(many[::-1]))
    assert (diff, cut, note) == (
        None,
        False,
        "too much lies between the first line that differs and the last: 50,000 lines",
    )


def test_a_long_line_and_the_ends_of_lines() -> None:
    diff, _, note = text_difference("x" * 1000, "y" * 1000)
    assert diff is not None
    assert [len(line) for line in diff.split("\n")] == [11, differences.WIDTH, differences.WIDTH]
    assert note == f"lines are shown to their letter {differences.WIDTH}"
    assert text_difference("a\nb\n", "a\r\nb") == (None, False, "only the ends of its lines differ")


class Room:
    """A content store and a project's folder."""

    def __init__(self, root: Path) -> None:
        self.content, self.folder = ContentStore(root / "content"), root / "project"
        self.folder.mkdir()

    def was(self, path: str, data: bytes) -> str:
        """The digest of a file as it was, in the store; it is not in the folder."""
        return self.content.put_bytes(data)

    def now(self, path: str, data: bytes) -> str:
        """The digest of a file as it is, in the folder alone."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return self.content.entry_of(target).digest

    def told(self, path: str, old: str | None, new: str | None, *, readable: bool = True) -> ChangedFile:
        (found,) = FileChanges(self.content, self.folder, readable=readable).tell([Differing("input", path, old, new)])
        return found


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


@pytest.mark.parametrize(
    ("path", "old", "new", "diff", "note"),
    [
        ("a.txt", b"one\n", b"two\n", "@@ -1 +1 @@\n-one\n+two", None),
        ("a.txt", b"one\n", b"tw\xff\n", None, None),
        ("a.txt", b"one\n", b"tw\0\n", None, None),
        ("a.txt", b"one\n", b"x" * (file_changes.TEXT_BYTES + 1), None, None),
        ("a.csv", b"a\n", b"a\nb\nc", "@@ -1 +1,3 @@\n a\n+b\n+c", "2 lines more: 1 → 3"),
        ("a.TSV", b"a\nb\nc\n" * 200_000, b"a\n", None, "599,999 lines fewer: 600,000 → 1"),
        ("a.csv", b"a\nb\n", b"a\nc\n", "@@ -1,2 +1,2 @@\n a\n-b\n+c", "it has as many lines as before"),
        ("a.csv", b"", b"a\n", "@@ -0,0 +1 @@\n+a", "1 line more: 0 → 1"),
    ],
)
def test_what_is_told_of_a_file(
    room: Room, path: str, old: bytes, new: bytes, diff: str | None, note: str | None
) -> None:
    found = room.told(path, room.was(path, old), room.now(path, new))
    assert (found.diff, found.note) == (diff, note)
    assert (found.change, found.old_size, found.new_size) == ("changed", len(old), len(new))
    hidden = room.told(path, found.old_digest, found.new_digest, readable=False)
    assert (hidden.diff, hidden.note, hidden.new_size) == (None, file_changes.HIDDEN, len(new))


def test_a_table_of_gigabytes_is_not_read(room: Room) -> None:
    old = room.was("a.csv", b"a\n")
    with (room.folder / "a.csv").open("wb") as file:
        file.truncate(64 << 30)
    found = room.told("a.csv", old, "sha256:" + "0" * 64)
    assert (found.new_size, found.diff, found.note) == (64 << 30, None, None)


def test_so_much_is_looked_into_and_no_more(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_changes, "READ_BYTES", 20)
    pairs = [(room.was("", b"one\n"), room.now(f"{number}.csv", b"two%d\n" % number)) for number in range(3)]
    large = Differing("input", "large.bin", pairs[0][0], room.now("large.bin", b"x" * (file_changes.TEXT_BYTES + 1)))
    each = [large, *(Differing("input", f"{number}.csv", *pair) for number, pair in enumerate(pairs))]
    found = FileChanges(room.content, room.folder, readable=True).tell(each)
    as_before = "it has as many lines as before"
    assert [one.note for one in found] == [None, as_before, as_before, file_changes.UNREAD]
    assert [one.diff is None for one in found] == [True, False, False, True]
    assert all(one.old_size and one.new_size for one in found)


def test_what_is_on_one_side_alone(room: Room) -> None:
    added = room.told("a.txt", None, room.now("a.txt", b"one"))
    removed = room.told("b.txt", room.was("b.txt", b"two!"), None)
    assert (added.change, added.old_size, added.new_size, added.diff) == ("added", None, 3, None)
    assert (removed.change, removed.old_size, removed.new_size, removed.diff) == ("removed", 4, None, None)


def test_what_is_lost_or_busy_is_said(room: Room) -> None:
    old, new = room.was("a.txt", b"one"), room.now("a.txt", b"two")
    (room.folder / "a.txt").write_text("three")
    assert room.told("a.txt", old, new).note == file_changes.BUSY
    (room.folder / "a.txt").unlink()
    assert room.told("a.txt", old, new).note == file_changes.BUSY
    room.now("a.txt", b"two")
    room.content.path(old).unlink()
    assert room.told("a.txt", old, new).note == file_changes.GONE


def test_nothing_is_read_through_a_link_that_leaves_the_project(room: Room, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (room.folder / "a.txt").symlink_to(secret)
    (room.folder / "out").symlink_to(tmp_path)
    old = room.was("a.txt", b"one")
    room.content.put_file(secret)  # another project has it
    new = room.content.entry_of(secret).digest
    for path in ("a.txt", "out/secret.txt"):
        found = room.told(path, old, new)
        assert (found.note, found.diff, found.new_size) == (file_changes.OUTSIDE, None, None)
    # the link was put there after the file was looked at
    looked_at = room.now("b.txt", b"two")
    (room.folder / "b.txt").unlink()
    changes = FileChanges(room.content, room.folder, readable=True)
    assert "b.txt" in changes._paths
    (room.folder / "b.txt").symlink_to(secret)
    changes._paths = type("All", (), {"__contains__": lambda _self, _path: True})()  # type: ignore[assignment]
    (late,) = changes.tell([Differing("input", "b.txt", old, looked_at)])
    assert (late.note, late.diff) == (file_changes.BUSY, None)


def test_a_folder(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_changes, "DIFFS_INSIDE", 2)
    monkeypatch.setattr(file_changes, "INSIDE", 6)
    place = room.folder / "in"
    for number in range(5):
        room.now(f"in/deep/{number}.txt", b"old")
    room.now("in/gone", b"gone")
    old = room.content.put_path(place).digest
    for number in range(5):
        room.now(f"in/deep/{number}.txt", b"new!")
    (place / "gone").unlink()
    room.now("in/fresh", b"fresh")
    new = room.content.entry_of(place).digest
    found = room.told("in", old, new)
    assert found.note == "files: 5 changed, 1 added, 1 removed"
    assert (found.old_size, found.new_size, found.left_out) == (19, 25, 1)
    assert [(file.path, file.change, file.diff is not None) for file in found.files] == [
        ("in/deep/0.txt", "changed", True),
        ("in/deep/1.txt", "changed", True),
        ("in/deep/2.txt", "changed", False),
        ("in/deep/3.txt", "changed", False),
        ("in/deep/4.txt", "changed", False),
        ("in/fresh", "added", False),
    ]
    file = room.was("in", b"a file")
    assert room.told("in", file, new).note == "it was a file and is a folder"
    room.content.path(old).unlink()
    assert room.told("in", old, new).note == file_changes.GONE


def test_which_files_differ() -> None:
    old = Parts(("c",), inputs={"a": "1", "b": "2", "gone": "3"}, modules={"m.py": "4"})
    new = Parts(("c",), inputs={"a": "1", "b": "5", "m.py": "6"}, modules={})
    reads = [Differing("read", "b", "2", "5"), Differing("read", "conf.json", "7", None)]
    assert differing_files(old, new, reads) == [
        Differing("input", "b", "2", "5"),
        Differing("input", "gone", "3", None),
        Differing("input", "m.py", None, "6"),
        Differing("module", "m.py", "4", None),
        Differing("read", "conf.json", "7", None),
    ]


def test_no_more_is_told_than_fits(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_changes, "FILES", 3)
    monkeypatch.setattr(file_changes, "DIFFS", 2)
    old, new = room.was("x", b"one"), room.content.put_bytes(b"two")
    found = FileChanges(room.content, room.folder, readable=True).tell(
        [Differing("module", f"{number}.py", old, new) for number in range(5)]
    )
    assert [file.diff is not None for file in found] == [True, True, False]
    assert found[2].note == "its lines are not compared: 2 other files were"
