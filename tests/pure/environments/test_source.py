"""What a project asks for: read inside the project only, and told with the line when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from himalia_server.environments.source import LOCK, SourceFault, read_lock, read_source
from himalia_server.projects import EnvironmentTable


def source_of(folder: Path, text: str | None = None, **table: str):  # type: ignore[no-untyped-def]
    if text is not None:
        (folder / "requirements.txt").write_text(text)
    return read_source(folder, EnvironmentTable(**(table or {"requirements": "requirements.txt"})))  # type: ignore[arg-type]


def test_without_a_source_there_is_none(tmp_path: Path) -> None:
    assert read_source(tmp_path, EnvironmentTable()) is None


def test_the_digest_covers_the_table_and_all_files(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("beta\n")
    first = source_of(tmp_path, "alpha\n-r more.txt\n")
    assert first.files == ("requirements.txt", "more.txt")
    assert source_of(tmp_path, "alpha\r\n-r more.txt\r\n").digest == first.digest  # line ends of another system
    assert source_of(tmp_path, "alpha\n-r more.txt\n", requirements="requirements.txt", kind="isolated").digest != (
        first.digest
    )
    (tmp_path / "more.txt").write_text("beta>2\n")
    assert source_of(tmp_path).digest != first.digest


def test_files_that_name_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("-r requirements.txt\n")
    assert source_of(tmp_path, "-r more.txt\n").files == ("requirements.txt", "more.txt")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("-r /etc/passwd", "leads out"),
        ("-r ${HOME}/x", "variable"),
        ("# a comment ends with its line \\\n-e /srv/alpha", "editable"),
        ("alpha # so does this one \\\n--index-url https://ada:pw@host/simple", "password"),
        ("-r../secrets.txt", "leads out"),
        ("--requirement=../secrets.txt", "leads out"),
        ("-c ../secrets.txt", "leads out"),
        ("-r link.txt", "leads out"),
        ("-r absent.txt", "does not exist"),
        ("-e .", "editable"),
        ("--editable=../other", "editable"),
        ("alpha\n-e /srv/alpha", "line 2"),
        ("./wheels/alpha-1.0-py3-none-any.whl", "local path"),
        ("../alpha", "local path"),
        ("/srv/alpha", "local path"),
        ("alpha @ file:///srv/alpha", "local path"),
        ("alpha @ git+file:///srv/alpha", "local path"),
        ("alpha \\\n  @ ../alpha", "local path"),
        ("--find-links /srv/wheels", "inside the project"),
        ("-f ../wheels", "inside the project"),
        ("--extra-index-url file:///srv", "inside the project"),
        ("--index-url https://ada:geheim@packages.example", "password"),
        ("alpha @ https://geheim@packages.example/a.whl", "password"),
    ],
)
def test_what_cannot_be_locked_is_refused(tmp_path: Path, text: str, word: str) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "secrets.txt").write_text("geheim\n")
    (folder / "link.txt").symlink_to(tmp_path / "secrets.txt")
    with pytest.raises(SourceFault) as caught:
        source_of(folder, text + "\n")
    assert word in caught.value.detail
    assert "geheim" not in f"{caught.value.detail} {caught.value.hint}"


def test_ordinary_lines_pass(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    text = (
        "# a note\n--pre\n--find-links wheels\n--extra-index-url https://packages.example/simple\n"
        "alpha[extra]>=1,<2 ; python_version < '3.13'  # why\nbeta @ git+ssh://git@code.example/beta@v1\n"
    )
    found = source_of(tmp_path, text)
    assert found.indexes == (
        "--find-links",
        str(tmp_path / "wheels"),
        "--index",
        "https://packages.example/simple",
    )


def test_a_pyproject_and_the_lock_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "x"\nversion = "1"\ndependencies = ["alpha"]\n')
    first = source_of(tmp_path, pyproject="pyproject.toml")
    assert first.files == ("pyproject.toml",)
    (tmp_path / "uv.lock").write_text("version = 1\n")
    second = source_of(tmp_path, pyproject="pyproject.toml")
    assert second.files == ("pyproject.toml", "uv.lock")
    assert second.digest != first.digest


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("name = 1", "no table"),
        ("[project", "pyproject.toml"),
        ('[project]\ndynamic = ["dependencies"]', "dynamic"),
        ('[project]\ndynamic = ["optional-dependencies"]', "runs code"),
        ('[project]\ndependencies = ["alpha @ file:///srv/alpha"]', "local path"),
        ('[project]\ndependencies = ["alpha"]\n[tool.uv.sources]\nalpha = { path = "../alpha" }', "local path"),
        ('[project]\ndependencies = ["alpha"]\n[tool.uv.sources]\nalpha = { workspace = true }', "local path"),
    ],
)
def test_a_pyproject_that_cannot_be_locked(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text + "\n")
    with pytest.raises(SourceFault) as caught:
        source_of(tmp_path, pyproject="pyproject.toml")
    assert word in caught.value.detail


def test_a_lock_that_cannot_be_used_is_none(tmp_path: Path) -> None:
    assert read_lock(tmp_path) is None
    path = tmp_path / LOCK
    path.parent.mkdir()
    path.write_text("alpha>=1\n")
    assert read_lock(tmp_path) is None
    path.write_text("alpha==1\n")
    found = read_lock(tmp_path)
    assert found is not None
    assert found.names == {"alpha"}
    path.unlink()
    (tmp_path.parent / "outside.lock").write_text("alpha==1\n")
    path.symlink_to(tmp_path.parent / "outside.lock")
    assert read_lock(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "dependencies = 5",
        "dynamic = 5",
        "dependencies = []\n[tool]\nuv = 5",
        "dependencies = []\n[tool.uv]\nsources = 5",
        "dependencies = []\n[tool.uv.sources]\nalpha = 5",
        "x = " + "9" * 5000,
        ".".join(["a"] * 20_000) + " = 1",
    ],
)
def test_a_pyproject_that_says_odd_things_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = 'x'\n{text}\n")
    with pytest.raises(SourceFault, match=r"pyproject\.toml"):
        source_of(tmp_path, pyproject="pyproject.toml")


@pytest.mark.parametrize(("name", "table"), [("uv.toml", ""), ("pyproject.toml", "tool.uv.")])
def test_settings_of_uv_belong_to_the_source(tmp_path: Path, name: str, table: str) -> None:
    before = source_of(tmp_path, "alpha\n").digest
    place = tmp_path / name
    place.write_text(f"{table}pip.target = '/srv'\n")
    with pytest.raises(SourceFault, match="elsewhere than into the environment"):
        source_of(tmp_path)
    place.write_text(f"{table}find-links = ['https://ada:canary@host/x']\n")
    with pytest.raises(SourceFault, match="password") as told:
        source_of(tmp_path)
    assert "canary" not in told.value.detail
    place.write_text(f"{table}constraint-dependencies = ['alpha<2']\n")
    assert source_of(tmp_path).digest != before
    place.unlink()
    assert source_of(tmp_path).digest == before
