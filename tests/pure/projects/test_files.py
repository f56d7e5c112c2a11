"""Which files of a folder are code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from himalia_server.projects import ProjectPaths, code_files, git_names, outputs_of, parse_manifest, without_data

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


FOLDERS = parse_manifest(
    '[project]\nname = "x"\n[stages.a]\nnotebook = "data/a.ipynb"\ninputs = ["data", "src", "one.json"]\n'
    'outputs = ["build/parts", "o.json"]\n[stages.b]\nnotebook = "b.ipynb"\ninputs = ["build/parts/in.json"]\n'
)


def test_what_lies_within_an_output_is_no_code(tmp_path: Path) -> None:
    names = (
        "b.ipynb",
        "build/parts/x.json",
        "build/parts/deep/m.py",
        "build/parts.json",
        "build/part/x.json",
        "o.json",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    kept = ["b.ipynb", "build/part/x.json", "build/parts.json"]
    assert code_files(tmp_path, FOLDERS) == kept
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "add", "."], check=True)
    assert code_files(tmp_path, FOLDERS) == kept


def test_what_lies_within_an_input_is_data_but_for_modules_and_notebooks() -> None:
    stay = ["b.ipynb", "data", "data/a.ipynb", "data/m.py", "data/other.ipynb", "src/m.py", "src/m.json", "one.json"]
    stay += ["build/parts/in.json", "data.json", "top.json"]
    go = ["data/x.json", "data/deep/y.sql", "one.json/x.json", "build/parts/x.json", "build/parts/m.py", "o.json"]
    found = without_data([*stay, *go], FOLDERS.stages, outputs_of(FOLDERS))
    assert list(found) == stay


def repository(top: Path, ignored: str, *tracked: str) -> None:
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    (top / ".gitignore").write_text(ignored)
    subprocess.run(["git", "-C", str(top), "add", "-f", ".gitignore"], check=True)
    for name in tracked:
        subprocess.run(["git", "-C", str(top), "add", name], check=True)


@pytest.fixture
def below(tmp_path: Path) -> Path:
    """A project in a folder of something else."""
    place = tmp_path / "top" / "projects" / "one"
    for name in ("himalia.toml", "a.ipynb", "kept.json", "tmp/x.json", "src/m.py"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("{}")
    (tmp_path / "top" / "other.py").write_text("")
    return place


def test_a_project_in_a_folder_of_a_repository_knows_what_is_ignored(below: Path) -> None:
    top = below.parent.parent
    repository(top, "tmp/\n")
    wanted = ["a.ipynb", "himalia.toml", "kept.json", "src/m.py"]
    assert code_files(below, MANIFEST) == wanted  # nothing is tracked yet
    repository(top, "tmp/\n", "projects")
    assert code_files(below, MANIFEST) == wanted
    (below / ".gitignore").write_text("kept.json\n")
    subprocess.run(["git", "-C", str(top), "rm", "-q", "--cached", "projects/one/kept.json"], check=True)
    assert code_files(below, MANIFEST) == ["a.ipynb", "himalia.toml", "src/m.py"]


@pytest.mark.parametrize("ignored", ["*\n", "projects/\n", "/*\n!/.gitignore\n", "one\n", "*.toml\n*.py\n*.ipynb\n"])
def test_a_repository_around_that_does_not_mean_the_project_takes_no_code_away(below: Path, ignored: str) -> None:
    repository(below.parent.parent, ignored)
    assert code_files(below, MANIFEST) == ["a.ipynb", "himalia.toml", "kept.json", "src/m.py", "tmp/x.json"]


@pytest.mark.parametrize("there", [False, True])
def test_where_git_cannot_be_run_all_files_count(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    found = code_files(folder, MANIFEST)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    if there:
        (tmp_path / "git").write_text("no program")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_files(folder, MANIFEST) == found
    assert git_names(folder, "ls-files") is None


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
