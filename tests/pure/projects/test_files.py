"""Which files of a folder are code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from himalia_server.projects import ProjectPaths, code_files, parse_manifest

MANIFEST = parse_manifest(
    '[project]\nname = "x"\n[snapshot]\ninclude = ["sql/*.txt"]\n'
    '[stages.a]\nnotebook = "a.ipynb"\noutputs = ["o.json"]\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.ipynb", "src/m.py", "o.json", "notes.md", "sql/q.txt", ".himalia/lock.json", "venv/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "big.json").write_bytes(b" " * (11 << 20))
    (tmp_path / "out.py").symlink_to("/etc/hostname")
    return tmp_path


def test_code_without_git(folder: Path) -> None:
    assert code_files(folder, MANIFEST) == ["a.ipynb", "sql/q.txt", "src/m.py"]


def test_with_git_what_is_ignored_stays_out(folder: Path) -> None:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / ".gitignore").write_text("src/\n")
    assert code_files(folder, MANIFEST) == ["a.ipynb", "sql/q.txt"]


def test_the_settings_of_a_folder_name_no_program_that_is_run(folder: Path) -> None:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "add", "a.ipynb"], check=True)
    ran = folder / "ran"
    subprocess.run(["git", "-C", str(folder), "config", "core.fsmonitor", f"touch {ran}; false"], check=True)
    assert "a.ipynb" in code_files(folder, MANIFEST)
    assert not ran.exists()


def test_a_tracked_folder_that_became_a_link_out_of_the_project_is_no_code(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path.with_name(f"{tmp_path.name}-outside")
    outside.mkdir()
    (outside / "m.py").write_text("secret")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "add", "a.ipynb", "src"], check=True)
    (folder / "src" / "m.py").unlink()
    (folder / "src").rmdir()
    (folder / "src").symlink_to(outside)
    assert code_files(folder, MANIFEST) == ["a.ipynb", "sql/q.txt"]


def test_paths_of_a_project_lie_within_it(folder: Path, tmp_path: Path) -> None:
    (folder / "link").symlink_to(folder / "src")
    (folder / "home.py").symlink_to("src/m.py")
    (folder / "up").symlink_to("..")
    paths = ProjectPaths(folder)
    within = ["a.ipynb", "src/m.py", "link/m.py", "home.py", "src", "src/../a.ipynb", "not/there.py", "."]
    without = ["out.py", "up/x.py", "up", "../x.py", "src/../../x.py", "/etc/hostname", ".."]
    assert [path for path in (*within, *without) if path in paths] == within
    assert (paths.is_file("src/m.py"), paths.is_file("src"), paths.exists("src"), paths.exists("no")) == (
        True,
        False,
        True,
        False,
    )
