"""Kernels and kernelspecs when something around the project is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from himalia_server.projects import Projects
from himalia_server.projects.models import ProjectCreate
from himalia_server.service.auth import authorize
from himalia_server.store import Project
from tests.pure.projects.conftest import ADA


def test_a_kernel_starts_though_its_kernelspec_cannot_be_written(room: Projects, folders: Path) -> None:
    (folders / "aa").mkdir()
    room.make(ADA, ProjectCreate(name="aa", path=str(folders / "aa")))
    project = authorize(room.context, ADA, "aa", "project.read")
    asked: list[str] = []

    def refuse(project: Project) -> None:
        asked.append(project.slug)
        if len(asked) < 3:
            raise PermissionError(13, "Permission denied", "kernels/aa")

    room.kernels.write_specs = refuse
    for _ in range(2):
        notes = room.kernels.live(ADA, project, folders / "token").env["HIMALIA_NOTES"]
        assert "cannot be written where Jupyter looks for them: [Errno 13] Permission denied" in notes
    for _ in range(2):  # tried until it is written, and then no more
        assert "HIMALIA_NOTES" not in room.kernels.live(ADA, project, folders / "token").env
    assert asked == ["aa"] * 3


def test_a_project_is_made_though_its_kernelspec_cannot_be_written(
    room: Projects, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders / "no-folder").touch()
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(folders / "no-folder"))
    for name in ("aa", "bb"):
        (folders / name).mkdir()
        assert room.make(ADA, ProjectCreate(name=name, path=str(folders / name))).slug == name
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(folders / "jupyter"))
    room.start()
    found = sorted(path.name.rpartition("-")[2] for path in (folders / "jupyter" / "kernels").iterdir())
    assert found == ["aa", "bb"]
