"""`uses` in himalia.toml is edited as a person would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from himalia_server.components.uses import edit
from himalia_server.projects import ManifestFault, read_manifest
from himalia_server.service.problems import Conflict, Invalid

TEXT = """# our project
[project]
name = "x"  # its name
# what we share
uses = [
    "team/features@1.0",  # the good one
    "team/other@2",
]

[stages.a]
notebook = "a.ipynb"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "himalia.toml"
    file.write_text(text)
    return file


def test_a_version_is_changed_in_its_place(tmp_path: Path) -> None:
    file = write(tmp_path, TEXT)
    file.chmod(0o640)
    edit(tmp_path, "team/features", "1.1")
    assert file.read_text() == TEXT.replace("features@1.0", "features@1.1")
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["himalia.toml"]


def test_one_is_added_and_taken_out(tmp_path: Path) -> None:
    file = write(tmp_path, TEXT)
    edit(tmp_path, "our/third", "1")
    assert read_manifest(tmp_path).project.uses == ["team/features@1.0", "team/other@2", "our/third@1"]
    for comment in ("# our project", "# its name", "# what we share", "# the good one"):
        assert comment in file.read_text()
    edit(tmp_path, "team/features", None)
    edit(tmp_path, "never/there", None)
    assert read_manifest(tmp_path).project.uses == ["team/other@2", "our/third@1"]


def test_what_cannot_be_edited_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestFault, match="does not exist"):
        edit(tmp_path, "team/features", "1.1")
    elsewhere = write(tmp_path, TEXT).rename(tmp_path.with_name(f"{tmp_path.name}.toml"))
    (tmp_path / "himalia.toml").symlink_to(elsewhere)
    with pytest.raises(Invalid, match="leads out of the project"):
        edit(tmp_path, "team/features", "1.1")
    assert elsewhere.read_text() == TEXT


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, TEXT)

    def refuse(**_where: Any) -> None:  # root, as which tests may run, may write everywhere
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(Conflict, match=r"himalia\.toml cannot be written: Permission denied") as told:
        edit(tmp_path, "team/features", "1.1")
    assert "rights" in str(told.value.hint)
    assert file.read_text() == TEXT


def test_the_first_one(tmp_path: Path) -> None:
    write(tmp_path, '[project]\nname = "x"\n\n[kernel]\ncpus = 1\n')
    edit(tmp_path, "never/there", None)
    edit(tmp_path, "team/features", "1.0")
    assert read_manifest(tmp_path).project.uses == ["team/features@1.0"]
    assert read_manifest(tmp_path).kernel.cpus == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\n# A stage is\n# [stages.b]\n", "USES\n# A stage is\n# [stages.b]\n"),  # as in a new project
        ("# A stage is\n[stages.a]\nnotebook = 'a.ipynb'\n", "USES\n# A stage is\n[stages.a]\nnotebook = 'a.ipynb'\n"),
        ("# tags = []\n\n# It\n[kernel]\ncpus = 1\n", "# tags = []\nUSES\n# It\n[kernel]\ncpus = 1\n"),
        ("", "USES"),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_first_one_parts_no_comment_from_its_table(tmp_path: Path, before: str, after: str, ending: str) -> None:
    head = '# ours\n[project]\nname = "x"  # so\n'
    file = tmp_path / "himalia.toml"
    file.write_bytes((head + before).replace("\n", ending).encode())
    edit(tmp_path, "team/features", "1.0")
    wanted = head + after.replace("USES", 'uses = ["team/features@1.0"]\n')
    assert file.read_bytes().decode() == wanted.replace("\n", ending)


def test_a_file_with_a_fault_is_left_alone(tmp_path: Path) -> None:
    file = write(tmp_path, '[project]\nnome = "x"\n')
    with pytest.raises(ManifestFault):
        edit(tmp_path, "team/features", "1.0")
    assert file.read_text() == '[project]\nnome = "x"\n'
