"""A project's kernel through its kernelspec, under each of Jupyter's ways to start one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from himalia import __version__
from himalia_kernels.kernelspec import write_kernelspec
from tests.pure.kernels.fake_service import SLUG, FakeService, fake_service

LAYER = Path(__file__).parents[2] / "kernels"
KERNEL = "himalia-test-flights"
SECRETS = {
    "JUPYTERHUB_API_TOKEN": "s1",
    "JPY_API_TOKEN": "s2",
    "AWS_SECRET_ACCESS_KEY": "s3",
    "DB_PASSWORD": "s4",
    "MLFLOW_TRACKING_TOKEN": "s5",
    "HIMALIA_HOME": "/somewhere",
}


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    """A service, a kernelspec of its project, and a server environment full of secrets."""
    with fake_service(tmp_path) as made:
        add_kernelspec(tmp_path, made, sys.executable)
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
        monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value)
        yield made


def add_kernelspec(folder: Path, service: FakeService, python: str) -> None:
    write_kernelspec(folder / "jupyter/kernels", KERNEL, "Flights", python, LAYER, SLUG, service.home)


class Session:
    """A running kernel and its client."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self.client = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str) -> tuple[str, dict[str, Any]]:
        """Run *code*; returns what it printed (both streams) and the reply."""
        printed: list[str] = []

        def hook(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, timeout=60, output_hook=hook)
        return "".join(printed), reply["content"]

    def value(self, expression: str) -> Any:
        """The value of a JSON-able *expression* in the kernel."""
        return json.loads(self.run(f"import json; print(json.dumps({expression}))")[0])


@contextlib.contextmanager
def running(**options: Any) -> Iterator[Session]:
    manager = KernelManager(kernel_name=KERNEL)
    manager.start_kernel(**options)
    session = Session(manager)
    try:
        yield session
    finally:
        session.client.stop_channels()
        manager.shutdown_kernel()


def test_kernel_manager_gives_the_project_and_no_secret_and_restarts_afresh(service: FakeService) -> None:
    with running(env={**os.environ, "JPY_SESSION_NAME": "a.ipynb"}) as session:
        env = session.value("dict(os.environ)" if session.run("import os") else "")
        assert not SECRETS.keys() & env.keys()
        assert env["HIMALIA_PROJECT"] == SLUG
        assert env["MLFLOW_TRACKING_URI"] == f"{service.address}/mlflow/{SLUG}"
        assert (env["JPY_SESSION_NAME"], env["JPY_PARENT_PID"]) == ("a.ipynb", str(os.getpid()))
        assert session.value("os.getcwd()") == str(service.project)
        assert session.value("sys.path.count('')" if session.run("import sys") else "") == 1
        assert str(LAYER / "himalia") not in session.value("sys.path")
        assert "Flights <b>" in session.run("print(repr(get_ipython().run_line_magic('project', '')))")[0]

        session.manager.restart_kernel(now=True)
        session.client.wait_for_ready(timeout=60)
        session.run("import os")
        assert session.value("os.environ['HIMALIA_TOKEN_FILE']") != env["HIMALIA_TOKEN_FILE"]
        assert len(service.calls("POST", "/kernels")) == 2
        assert service.released == []
    assert len(service.released) == 1


def test_a_folder_chosen_inside_the_project_is_kept(service: FakeService) -> None:
    inner = service.project / "notebooks"
    inner.mkdir()
    with running(cwd=str(inner)) as session:
        assert session.value("__import__('os').getcwd()") == str(inner)


@pytest.mark.parametrize("fault", ["absent", "impostor", "refuses"])
def test_without_the_service_the_kernel_starts_and_magics_say_why(service: FakeService, fault: str) -> None:
    if fault == "absent":
        (service.home / "service.json").unlink()
    elif fault == "impostor":
        service.honest = False
    else:
        service.kernel_answer = 403
    with running() as session:
        assert session.value("[n for n in __import__('os').environ if n.startswith(('MLFLOW', 'HIMALIA'))]") == [
            "HIMALIA_GRANT_ERROR",
            "HIMALIA_START",
        ]
        printed, reply = session.run("%project")
        assert (reply["status"], reply["ename"]) == ("error", "UsageError")
        said = {"absent": "himalia up", "impostor": "not this site's service", "refuses": "no member"}[fault]
        assert said in printed
        assert "restart the kernel" in printed
        assert "Traceback" not in printed
    if fault == "impostor":
        assert service.requests == []  # it never saw a token


def test_papermill_and_jupyter_run(service: FakeService, tmp_path: Path) -> None:
    code = "import os, himalia; print(os.environ['HIMALIA_PROJECT'], himalia.project().role)"
    cells = [
        nbformat.v4.new_code_cell("a: int = 1  # how many", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_markdown_cell("# Beside the notebook"),
        nbformat.v4.new_code_cell("print(open('beside.txt').read(), a, os.path.realpath(''))"),
        nbformat.v4.new_code_cell("{'a': a}"),
    ]
    cells[2].source = "import os; " + cells[2].source
    for cell in cells:
        cell.id = f"c{cells.index(cell)}"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code, id="first"), *cells])
    notebook.metadata.kernelspec = {"name": KERNEL, "display_name": "Flights", "language": "python"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    (tmp_path / "beside.txt").write_text("found")
    script = tmp_path / "script.py"
    script.write_text(code)
    folder = Path(sys.executable).parent
    made = []
    for options in (["--engine", "himalia"], ["-k", KERNEL]):
        command = [str(folder / "papermill"), "in.ipynb", "out.ipynb", *options, "-p", "a", "5"]
        subprocess.run(command, check=True, cwd=tmp_path, timeout=120, capture_output=True)
        made.append(nbformat.read(tmp_path / "out.ipynb", 4))
    ours, theirs = map(comparable, made)
    assert ours == theirs
    assert theirs["cells"][0]["outputs"][0]["text"] == ["flights contributor\n"]
    assert theirs["cells"][4]["outputs"][0]["text"] == [f"found 5 {tmp_path.resolve()}\n"]
    command = [str(folder / "jupyter-run"), f"--kernel={KERNEL}", str(script)]
    done = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
    assert "flights contributor" in done.stdout
    assert len(service.released) == 3


def comparable(notebook: Any) -> Any:
    """A notebook that papermill has made, without times, the names of new cells, and what our engine adds."""
    for part in (notebook, *notebook.cells):
        part.metadata.pop("himalia", None)
        part.metadata.pop("execution", None)
        for name in [name for name in part.metadata.papermill if "time" in name or name == "duration"]:
            del part.metadata.papermill[name]
        if "injected-parameters" in part.metadata.get("tags", []):
            part.id = "injected"
    return json.loads(nbformat.writes(notebook))


def test_an_environment_with_only_ipykernel_gets_the_layer(service: FakeService, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    uv = str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "venv", "--python", sys.executable, str(bare)], check=True, capture_output=True)
    python = str(bare / "bin/python")
    subprocess.run([uv, "pip", "install", "--python", python, "ipykernel"], check=True, capture_output=True)
    add_kernelspec(tmp_path, service, python)
    with running() as session:
        session.run("import sys, himalia")
        assert session.value("himalia.__version__") == __version__
        assert session.value("sys.path[-1]") == str(LAYER)
        assert "Flights" in session.run("print(himalia.project())")[0]
        assert "'distributed'" in session.run("%cluster client")[0]


def test_the_argv_runs_without_the_provisioner(service: FakeService) -> None:
    spec = KernelSpecManager().get_kernel_spec(KERNEL)
    spec.metadata.pop("kernel_provisioner")
    manager = KernelManager(kernel_name=KERNEL)
    manager._kernel_spec = spec
    plain = {name: value for name, value in os.environ.items() if not name.startswith("HIMALIA")}
    manager.start_kernel(env=plain)
    session = Session(manager)
    try:
        printed, reply = session.run("%cluster")
        assert reply["ename"] == "UsageError"
        assert "choose the project's kernel" in printed
    finally:
        session.client.stop_channels()
        manager.shutdown_kernel()
