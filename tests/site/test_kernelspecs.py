"""Kernelspecs of projects: an icon of their own, other languages, and the same one under nbclient and nbconvert."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbconvert.nbconvertapp import NbConvertApp

from tests.site.lab import Lab
from tests.site.test_thread_kernels import Session
from tests.waiting import wait_until

FAKE = Path(__file__).with_name("fake_kernel.py")


def manifest(folder: Path, kernel: str) -> None:
    (folder / "himalia.toml").write_text(f'[project]\nname = "polyglot"\n{kernel}')


@pytest.fixture(scope="module")
def polyglot(lab: Lab) -> Iterator[Path]:
    """A project on a machine that has a kernel of another language, one of another program, and a broken one."""
    specs: dict[str, Any] = {
        "fake-lang": {
            "argv": [sys.executable, "{resource_dir}/fake.py", "-f", "{connection_file}"],
            "display_name": "Fake 1.0",
            "language": "Other",
            "env": {"FROM_SPEC": "kept"},
            "metadata": {"own": 1},
        },
        "remote": {
            "argv": ["x"],
            "display_name": "Remote",
            "language": "R",
            "metadata": {"kernel_provisioner": {"provisioner_name": "somebody-elses"}},
        },
    }
    folders = []
    for name, spec in specs.items():
        folder = lab.root / "jupyter" / "kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps(spec))
        folders.append(folder)
    (folders[0] / "fake.py").write_bytes(FAKE.read_bytes())
    folder = lab.root / "projects" / "polyglot"
    folder.mkdir(parents=True)
    manifest(folder, '[kernel]\nlanguages = ["fake-lang"]\npass_environment = ["AWS_REGION_OF_US"]\n')
    lab.post("/projects", {"name": "polyglot", "path": str(folder)})
    assert lab.request("PUT", "/projects/polyglot/secrets/KEY_OF_US", json={"value": "for kernels"}).status_code == 200
    yield folder
    lab.request("DELETE", "/projects/polyglot?remove_files=true")


def variant(lab: Lab) -> str:
    return f"{lab.get('/projects/polyglot')['kernelspec']}.fake-lang"


def test_a_project_has_its_name_and_icon(lab: Lab, polyglot: Path) -> None:
    specs = KernelSpecManager()
    own = specs.get_kernel_spec(lab.get("/projects/polyglot")["kernelspec"])
    names = {path.name for path in Path(own.resource_dir).iterdir()}
    assert names == {"kernel.json", "logo-svg.svg", "logo-32x32.png", "logo-64x64.png"}
    assert own.display_name == "polyglot"
    config = own.metadata["kernel_provisioner"]["config"]
    assert config["pass_environment"] == ["AWS_REGION_OF_US"]
    other = specs.get_kernel_spec(lab.get("/projects/tiny")["kernelspec"])
    drawings = {(Path(spec.resource_dir) / "logo-svg.svg").read_text() for spec in (own, other)}
    assert len(drawings) == 2


def test_another_language_has_the_projects_environment(
    lab: Lab, polyglot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = KernelSpecManager().get_kernel_spec(variant(lab))
    assert (spec.display_name, spec.language, spec.metadata["own"]) == ("polyglot (Fake 1.0)", "Other", 1)
    monkeypatch.setenv("SOME_PASSWORD", "of the server")
    monkeypatch.setenv("AWS_REGION_OF_US", "passed")
    session = Session(variant(lab))
    try:
        found = {
            name: session.run(name) for name in ("cwd", "HIMALIA_PROJECT", "KEY_OF_US", "FROM_SPEC", "SOME_PASSWORD")
        }
        assert found == {
            "cwd": str(polyglot.resolve()),
            "HIMALIA_PROJECT": "polyglot",
            "KEY_OF_US": "for kernels",
            "FROM_SPEC": "kept",
            "SOME_PASSWORD": "nothing",
        }
        assert session.run("AWS_REGION_OF_US") == "passed"
        token = Path(session.run("HIMALIA_TOKEN_FILE"))
        assert token.is_file()
    finally:
        session.close()
    wait_until(lambda: not token.exists(), 10, "the end of the kernel's token")


def test_what_is_not_there_is_told_and_the_rest_starts(lab: Lab, polyglot: Path) -> None:
    manifest(polyglot, '[kernel]\nlanguages = ["fake-lnag", "remote", "python3"]\n')
    session = Session(lab.get("/projects/polyglot")["kernelspec"])
    try:
        out = session.run("print('started')")
    finally:
        session.close()
    assert "started" in out
    problems = lab.get("/projects/polyglot/problems")["items"]
    assert [(problem["key"], problem["line"]) for problem in problems] == [("kernel.languages", 4)] * 3
    assert "No kernel 'fake-lnag' of another language is installed here. Did you mean 'fake-lang'?" in out
    for name in ("remote", "python3"):
        assert f"No kernel {name!r} of another language" in out
    # rewritten when a kernel starts after the manifest has changed
    specs = KernelSpecManager().find_kernel_specs()
    assert [name for name in specs if name.startswith(variant(lab).partition(".")[0] + ".")] == []
    manifest(polyglot, '[kernel]\nlanguages = ["fake-lang"]\n')
    session = Session(lab.get("/projects/polyglot")["kernelspec"])
    session.close()
    assert variant(lab) in KernelSpecManager().find_kernel_specs()


def notebook(kernel: str) -> Any:
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {"name": kernel, "display_name": "polyglot", "language": "python"}
    book.cells = [
        nbformat.v4.new_code_cell("import os, himalia; print(himalia.project().slug, os.environ['KEY_OF_US'])")
    ]
    return book


def test_the_same_kernelspec_under_nbclient(lab: Lab, polyglot: Path) -> None:
    book = notebook(lab.get("/projects/polyglot")["kernelspec"])
    nbclient.NotebookClient(book, timeout=60).execute()
    assert book.cells[0].outputs[0].text == "polyglot for kernels\n"


def test_the_same_kernelspec_under_nbconvert(lab: Lab, polyglot: Path, tmp_path: Path) -> None:
    nbformat.write(notebook(lab.get("/projects/polyglot")["kernelspec"]), tmp_path / "a.ipynb")
    app = NbConvertApp()
    app.initialize(["--to=notebook", "--execute", "--output=b.ipynb", "--log-level=50", str(tmp_path / "a.ipynb")])
    app.start()
    assert nbformat.read(tmp_path / "b.ipynb", 4).cells[0].outputs[0].text == "polyglot for kernels\n"


def test_they_go_with_the_project(lab: Lab, polyglot: Path) -> None:
    base = lab.get("/projects/polyglot")["kernelspec"]
    assert {base, f"{base}.fake-lang"} <= set(KernelSpecManager().find_kernel_specs())
    assert lab.request("DELETE", "/projects/polyglot?remove_files=true").is_success
    assert [name for name in KernelSpecManager().find_kernel_specs() if name.startswith(base)] == []
    assert {"fake-lang", "remote"} <= set(KernelSpecManager().find_kernel_specs())
