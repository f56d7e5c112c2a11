"""Edits in a terminal, which nobody tells of, are noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from himalia_server.environments import source_files
from himalia_server.projects import Projects
from himalia_server.projects.models import ProjectCreate
from himalia_server.service.auth import authorize
from tests.pure.projects.conftest import ADA


def told(room: Projects) -> list[list[str]]:
    """The files that each event of a look names."""
    _, before = room.context.events.bounds()
    room.watch.look()
    return [event.data["files"] for event in room.context.events.after(before) if event.topic == "project.manifest"]


def test_a_changed_manifest_or_source_is_told_once(room: Projects, folders: Path) -> None:
    folder = folders / "pp"
    room.watch.sources = source_files
    room.make(ADA, ProjectCreate(name="pp", template="blank", path=str(folder)))
    manifest = folder / "himalia.toml"
    assert told(room) == []  # the first look

    manifest.write_text('[project]\nname = "pp"\n[environment]\nrequirements = "r.txt"\n')
    assert told(room) == [["himalia.toml"]]
    assert told(room) == []
    # of a file that is named but not there, and of one that it names
    (folder / "r.txt").write_text("-r more.txt\n")
    assert told(room) == [["r.txt"]]
    (folder / "more.txt").write_text("tiny\n")
    (folder / "r.txt").write_text("-r more.txt\nother\n")
    assert told(room) == [["r.txt"]]
    (folder / "more.txt").write_text("tiny==1\n")
    assert told(room) == [["more.txt"]]
    (folder / "other.txt").write_text("nobody's\n")
    assert told(room) == []
    manifest.write_text("no toml")
    assert told(room) == [["himalia.toml"]]
    manifest.unlink()
    assert told(room) == [["himalia.toml"]]


def test_what_rests_is_left_alone(room: Projects, folders: Path) -> None:
    folder = folders / "pp"
    room.make(ADA, ProjectCreate(name="pp", template="blank", path=str(folder)))
    assert told(room) == []
    project = authorize(room.context, ADA, "pp", "project.read")
    room.life.archive(ADA, project)
    (folder / "himalia.toml").write_text('[project]\nname = "other"\n')
    assert told(room) == []
    room.life.unarchive(ADA, project)
    assert told(room) == []  # the first look again: who brings it back reads all of it


def test_a_look_at_many_projects_reads_no_file(room: Projects, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("aa", "bb"):
        room.make(ADA, ProjectCreate(name=name, template="blank", path=str(folders / name)))
    assert told(room) == []

    def refuse(*_where: object) -> None:
        raise AssertionError("read though nothing has changed")

    monkeypatch.setattr("himalia_server.projects.watching.read_text", refuse)
    monkeypatch.setattr(room.watch, "sources", refuse)
    monkeypatch.setattr(room.watch._manifests, "read", refuse)
    assert told(room) == []
