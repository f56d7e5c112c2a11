"""What somebody meets who uses the command line for the first time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from himalia_server.cli import main


class Service:
    """Answers each path with what it was given for it."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def get(self, path: str, **_: Any) -> Any:
        return self.answers[path]

    def post(self, path: str, *_body: Any, **_kwargs: Any) -> Any:
        return self.answers[path]

    def request(self, _method: str, path: str, **_: Any) -> Any:
        return self.answers[path]

    def items(self, path: str, **_: Any) -> list[Any]:
        return list(self.answers[path])

    def send(self, _method: str, _path: str) -> httpx.Response:
        return httpx.Response(200, content=b"whole")

    @contextmanager
    def stream(self, _method: str, _path: str, **_: Any) -> Iterator[httpx.Response]:
        yield httpx.Response(200, content=b"whole", headers={"etag": '"d"', "x-himalia-left-out": "0"})


def himalia(
    monkeypatch: pytest.MonkeyPatch, words: list[str], answers: dict[str, Any] | None = None, **kwargs: Any
) -> Result:
    for room in ("component", "environment", "project", "project_copies", "project_life", "run", "secret"):
        monkeypatch.setattr(f"himalia_server.cli.{room}.connect", lambda: Service(answers or {}))
    result = CliRunner().invoke(main, words, **kwargs)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("words", ["project export pp", "schema", "run notebook r s -p pp"])
def test_a_file_that_cannot_be_written_is_told(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for target, why in (("nowhere/x", f"there is no folder {tmp_path}/nowhere"), ("file/x", "there is no folder")):
        done = himalia(monkeypatch, [*words.split(), "-o", str(tmp_path / target)])
        assert (done.exit_code, f"{tmp_path / target} cannot be written: {why}" in done.output) == (1, True)
    done = himalia(monkeypatch, [*words.split(), "-o", "/proc/x"])
    assert (done.exit_code, "/proc/x cannot be written: " in done.output) == (1, True)
    done = himalia(monkeypatch, [*words.split(), "-o", str(tmp_path / "x")])
    assert (done.exit_code, (tmp_path / "x").stat().st_size > 4) == (0, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "x"]


def test_a_misspelt_command_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    done = himalia(monkeypatch, ["projct", "list"])
    assert (done.exit_code, "Did you mean 'project'?" in done.output) == (2, True)


def test_a_value_in_the_command_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("hunter2", "--hunter2"):
        done = himalia(monkeypatch, ["secret", "set", "A_B", value, "-p", "pp"], input="x")
        assert (done.exit_code, "hunter2" in done.output) == (2, False)
        assert "asked for, or read from standard input" in done.output


REMOVAL = {
    "project": "pp",
    "folder": "",
    "files": 1,
    "bytes": 5,
    "more": False,
    "runs": 1,
    "running": 1,
    "kernels": 0,
    "models": 1,
    "versions": 2,
    "endpoints": ["one"],
    "clusters": [],
    "secrets": 1,
    "components": 1,
    "used_by": [],
    "members": 1,
    "days": 30,
}


def test_kernels_that_go_on_and_a_folder_that_stays_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def life(words: str, kernels: int, **kwargs: Any) -> str:
        answers = {
            "/projects/pp/removal": REMOVAL | {"kernels": kernels, "folder": str(tmp_path)},
            "/projects/pp/archive": {"slug": "pp"},
            "/projects/pp": None,
            "/projects": [],
        }
        return himalia(monkeypatch, ["project", *words.split()], answers, **kwargs).output

    goes_on = "The kernel of 1 notebook goes on, without any right in the project, until it is shut down in JupyterLab."
    for words in ("archive pp", "delete pp --yes", "delete pp --yes --purge", "delete pp"):
        assert goes_on in life(words, 1, input="y\n")
        assert "notebook" not in life(words, 0, input="y\n")
    assert "The kernels of 2 notebooks go on" in life("archive pp", 2)
    assert json.loads(life("archive pp --json", 2))["kernels"] == 2
    asked = life("delete pp", 0, input="n\n")
    for said in ("(1 file, ", "1 run, of which 1 goes on", "1 registered model with 2 versions", "the endpoint one"):
        assert said in asked
    assert f"Its folder stays: {tmp_path}" in life("delete pp --yes --purge", 0)
    tmp_path.rmdir()
    assert "stays" not in life("delete pp --yes --purge", 0)


def test_a_project_in_the_trash_has_no_manifest_to_complain_of(monkeypatch: pytest.MonkeyPatch) -> None:
    item = {"slug": "pp", "role": "owner", "trashed_at": 1.0, "created_at": 1.0, "path": "/x", "problem": "it is gone"}
    assert "it is gone" in himalia(monkeypatch, ["project", "list"], {"/projects": [item]}).output
    done = himalia(monkeypatch, ["project", "list", "--trashed"], {"/projects": [item]})
    assert done.output.splitlines()[1].split()[-2:] == ["-", "/x"]


@pytest.mark.parametrize(
    ("state", "packages", "said"),
    [
        (
            "none",
            None,
            "not built yet: requirements.txt, overlay; kernels use the site's own packages PYTHON until then",
        ),
        ("failed", None, "failed: requirements.txt, overlay; kernels use the site's own packages PYTHON\n"),
        (
            "building",
            1,
            "building: requirements.txt, overlay; kernels use the environment that was built before PYTHON until",
        ),
        (
            "ready",
            1,
            "ready: requirements.txt, overlay, Python 3.11.7\n  1 package, 4 KiB, shared with 1 other project\n",
        ),
    ],
)
def test_what_an_environment_is_before_it_is_there(
    state: str, packages: int | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = {
        "environment": None,
        "state": state,
        "name": "requirements.txt, overlay" if packages else "the site's own",
        "source": "requirements.txt",
        "kind": "overlay",
        "python": "3.11.7",
        "packages": packages,
        "bytes": 4096,
        "shared_with": 1,
        "digest": "d",
        "notes": [],
        "reason": None,
        "error": None,
        "kernels_outdated": [],
        "start": None,
        "others": [],
    }
    words = ["environment", "show", "-p", "pp"]
    shown = himalia(monkeypatch, words, {"/projects/pp/environment": view}).output
    assert said.replace("PYTHON", "(Python 3.11.7)") in shown


def test_publishing_again_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    view = {"name": "pp/all", "version": "1", "files": 1, "modules": ["a"], "digest": "sha256:0", "warnings": []}
    words = ["component", "publish", "all", "--version", "1", "-p", "pp"]
    for unchanged in (True, False):
        done = himalia(monkeypatch, words, {"/projects/pp/components": view | {"unchanged": unchanged}})
        assert ("pp/all@1 is published already, unchanged." in done.output) == unchanged
        assert "pp/all@1: 1 file (a)" in done.output
