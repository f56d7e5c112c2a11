"""A project that a killed service has half made: the same request goes on with it, another one does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from himalia_server.projects.templates import find_template, instantiate, unmark
from himalia_server.service.problems import Invalid

BLANK = "blank"


def test_the_same_request_finds_its_own_folder(tmp_path: Path) -> None:
    target = tmp_path / "made"
    instantiate(find_template(BLANK), target, "made", "mark")
    (target / "mine.txt").write_text("x")
    instantiate(find_template(BLANK), target, "made", "mark")
    assert (target / "mine.txt").read_text() == "x"


@pytest.mark.parametrize("mark", [None, "another"])
def test_another_request_does_not(tmp_path: Path, mark: str | None) -> None:
    target = tmp_path / "made"
    instantiate(find_template(BLANK), target, "made", "mark")
    with pytest.raises(Invalid, match="not empty"):
        instantiate(find_template(BLANK), target, "made", mark)


def test_nothing_is_left_of_the_mark(tmp_path: Path) -> None:
    target, plain = tmp_path / "made", tmp_path / "plain"
    instantiate(find_template(BLANK), target, "made", "mark")
    unmark(target)
    instantiate(find_template(BLANK), plain, "made")
    assert sorted(path.name for path in target.iterdir()) == sorted(path.name for path in plain.iterdir())
    with pytest.raises(Invalid):
        instantiate(find_template(BLANK), target, "made", "mark")


def test_half_copied_drafts_are_removed_and_nothing_else(tmp_path: Path) -> None:
    draft, other = tmp_path / ".made.0123456789ab", tmp_path / ".made.backup"
    for folder in (draft, other):
        folder.mkdir()
        (folder / "file").write_text("x")
    instantiate(find_template(BLANK), tmp_path / "made", "made")
    assert not draft.exists()
    assert other.exists()
