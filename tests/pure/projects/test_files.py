"""Which files of a folder are code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from himalia_server.projects import code_files, parse_manifest

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
