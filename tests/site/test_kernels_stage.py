"""One stage in a process of its own: every way it can end, and that nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from himalia_kernels import run_stage, zygote, zygotes
from himalia_kernels.kernelspec import write_kernelspec
from tests.pure.kernels.fake_service import SLUG, FakeService, fake_service, write_private
from tests.waiting import short_dir, wait_until

LAYER = Path(__file__).parents[2] / "kernels"
KERNEL = "himalia-test-flights"


@dataclass
class Lab:
    """A service, a kernelspec, and a folder for stages."""

    service: FakeService
    folder: Path
    environment: dict[str, str]
    zygotes: Path

    def prepare(self, *cells: Any, **spec: Any) -> Path:
        """Write a notebook and a specification of a stage; returns the specification's path."""
        workdir = self.folder / "work"
        workdir.mkdir(exist_ok=True)
        nodes = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
        nbformat.write(new_notebook(cells=nodes), workdir / "stage.ipynb")
        grant = self.service.grant("stage")
        grant["env"] |= {"HIMALIA_RUN": "r1", "HIMALIA_STAGE": "train", "STAGE_MARK": str(self.folder)}
        grant["cwd"] = str(workdir)
        document = {
            "run_id": "r1",
            "stage": "train",
            "notebook": "stage.ipynb",
            "workdir": str(workdir),
            "output": str(self.folder / "kept" / "stage.ipynb"),
            "kernel_name": KERNEL,
            "parameters": {},
            "timeout_s": None,
            "grant_file": str(write_private(self.folder / "grant.json", json.dumps(grant))),
            "progress_url": f"{self.service.address}/api/v1/projects/{SLUG}/runs/r1/stages/train/progress",
            "token_file": grant["token_file"],
            "outcome": str(self.folder / "outcome.json"),
            "outputs": [],
            "inputs": [],
        }
        path = self.folder / "spec.json"
        path.write_text(json.dumps(document | spec))
        return path

    def start(self, spec: Path) -> subprocess.Popen[bytes]:
        """Start the stage's process; it writes a log file."""
        command = [sys.executable, "-P", "-m", "himalia_kernels.run_stage", str(self.zygotes), "--spec", str(spec)]
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def run(self, *cells: Any, **spec: Any) -> dict[str, Any]:
        """Run a stage to its end; returns the outcome, checked for what holds for every one of them."""
        process = self.start(self.prepare(*cells, **spec))
        return self.finish(process)

    def finish(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Wait for the stage; returns the outcome."""
        process.wait(60)
        outcome: dict[str, Any] = json.loads((self.folder / "outcome.json").read_text())
        assert self.left() == []
        assert outcome["started_at"] <= outcome["ended_at"]
        assert self.notebook().metadata.himalia.status == outcome["status"]
        return outcome

    def notebook(self) -> Any:
        """The kept notebook."""
        return nbformat.read(self.folder / "kept" / "stage.ipynb", as_version=4)

    def states(self) -> list[str]:
        """papermill's state of every code cell of the kept notebook."""
        return [cell.metadata.papermill.status for cell in self.notebook().cells if cell.cell_type == "code"]

    def log(self) -> str:
        """What the stage's process wrote."""
        return (self.folder / "log").read_text()

    def left(self) -> list[psutil.Process]:
        """Processes of this lab's stages that still live, in whatever session."""
        return [process for process in psutil.process_iter() if _environ(process).get("STAGE_MARK") == str(self.folder)]


def _environ(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ() if process.status() != psutil.STATUS_ZOMBIE else {}
    except psutil.Error:
        return {}


@pytest.fixture(scope="session")
def runners() -> Iterator[Path]:
    """A folder with a zygote that runners are forked from, as on a site where a stage has run before."""
    with short_dir() as folder:
        if zygote.unsupported() is None:
            mother = run_stage.runner_zygote(folder)
            mother.start()
            wait_until(lambda: (mother.facts() or {}).get("state") == "ready", 60, "the zygote of runners")
        yield folder
        zygotes.end_all(folder)


@pytest.fixture
def lab(tmp_path: Path, runners: Path) -> Iterator[Lab]:
    jupyter = tmp_path / "jupyter"
    with fake_service(tmp_path) as service:
        write_kernelspec(jupyter / "kernels", KERNEL, "Flights", sys.executable, LAYER, SLUG, service.home)
        environment = os.environ | {"JUPYTER_PATH": str(jupyter), "IPYTHONDIR": str(tmp_path / "ipython")}
        made = Lab(service, tmp_path, environment, runners)
        yield made
        for process in made.left():
            process.kill()


def parameters(source: str) -> Any:
    return new_code_cell(source, metadata={"tags": ["parameters"]})


def test_success_with_parameters_outputs_and_progress(lab: Lab) -> None:
    outcome = lab.run(
        new_markdown_cell("# Train\ntext"),
        parameters("months = [1]"),
        new_markdown_cell("## Write the model"),
        "import os, pathlib, psutil\n"
        "pathlib.Path('build/model.json').write_text(str(months))\n"
        "print('stage', os.environ['HIMALIA_STAGE'], os.environ['MLFLOW_EXPERIMENT_NAME'])\n"
        "tcp = psutil.Process().net_connections('inet')\n"
        "print('listening', [c for c in tcp if c.status == 'LISTEN'])",
        "import multiprocessing\n"
        "child = multiprocessing.get_context('fork').Process(target=print, args=('from a fork',))\n"
        "child.start(); child.join()\n"
        "from joblib.externals.loky import get_reusable_executor\n"
        "print(list(get_reusable_executor(2, timeout=600).map(abs, [-1, -2])))",
        parameters={"months": [1, 2]},
        outputs=["build/model.json"],
    )
    assert outcome["status"] == "succeeded", lab.log()
    assert (outcome["cells"], outcome["cells_run"], outcome["cell"]) == (4, 4, None)
    assert (lab.folder / "work/build/model.json").read_text() == "[1, 2]"
    assert "stage train flights\nlistening []" in lab.log()
    assert lab.states() == ["completed"] * 4
    assert "from a fork" in lab.log()
    progress = lab.service.calls("POST", "/progress")
    assert progress[-1] == {"cell": 4, "cells": 4, "label": "Write the model"}
    assert list(lab.folder.glob("ipython/profile_default/history.sqlite")) == []


def test_failing_cell_that_misses_an_undeclared_file(lab: Lab) -> None:
    reading = "print('before')\nopen('data/x.csv')"
    outcome = lab.run("x = 1", reading, "print('never')", inputs=["data/known.csv"])
    assert (outcome["status"], outcome["error_name"]) == ("failed", "FileNotFoundError")
    assert (outcome["cell"], outcome["cell_index"], outcome["cells"], outcome["cells_run"]) == (2, 1, 3, 1)
    assert "open('data/x.csv')" in outcome["traceback_tail"]
    assert "\x1b" not in outcome["traceback_tail"]
    assert '`inputs = ["data/known.csv", "data/x.csv"]` under `[stages.train]`' in outcome["hint"]
    assert lab.states() == ["completed", "failed", "not_run"]
    assert lab.notebook().cells[2].outputs == []


STRAYS = """
import pathlib, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
subprocess.Popen(["sleep", "600"])
pathlib.Path("running").touch()
"""


def test_killed_kernel_and_its_children(lab: Lab) -> None:
    kill = STRAYS + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    outcome = lab.run("print('a')", kill, "print('never')")
    assert (outcome["status"], outcome["signal"], outcome["cell"]) == ("kernel_died", "SIGKILL", 2)
    assert outcome["oom"] in {False, "unknown"}
    assert outcome["hint"]
    assert lab.states() == ["completed", "failed", "not_run"]
    assert lab.notebook().cells[1].outputs[-1].ename == "KernelDied"


def test_kernel_that_exits(lab: Lab) -> None:
    outcome = lab.run("import os; os._exit(7)", "print('never')")
    assert (outcome["status"], outcome["signal"], outcome["exit_status"]) == ("kernel_died", None, 7)
    assert outcome["oom"] is False


def test_timeout(lab: Lab) -> None:
    outcome = lab.run("print('start')", "import time; time.sleep(600)", "print('never')", timeout_s=8)
    assert (outcome["status"], outcome["cell"]) == ("timed_out", 2), lab.log()
    assert "[stages.train]" in outcome["hint"]
    assert lab.states() == ["completed", "failed", "not_run"]


STUBBORN = """
while True:
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        pass
"""


def test_cancel_kills_a_kernel_that_ignores_interrupts_and_its_children(lab: Lab) -> None:
    process = lab.start(lab.prepare("print('a')", STRAYS + STUBBORN, "print('never')", grace_s=2))
    wait_until((lab.folder / "work/running").exists, 60, "the cell to run")
    assert len(lab.left()) >= 3
    process.send_signal(signal.SIGTERM)
    outcome = lab.finish(process)
    assert (outcome["status"], outcome["cell"], process.returncode) == ("cancelled", 2, 5)
    assert lab.states() == ["completed", "failed", "not_run"]


def test_parameters_are_refused_before_anything_starts(lab: Lab) -> None:
    outcome = lab.run(parameters("seed: int = 7"), "print(seed)", parameters={"seeed": 7, "seed": "seven"})
    assert (outcome["status"], outcome["error_name"], outcome["cells_run"]) == ("failed", "ParameterError", 0)
    assert "no parameter 'seeed'. The parameter 'seed' is annotated int" in outcome["error"]
    assert outcome["hint"] == "Did you mean 'seed'?"
    assert lab.states() == ["not_run", "not_run"]


def test_missing_output_after_a_notebook_that_ended_early(lab: Lab) -> None:
    outcome = lab.run("import sys; sys.exit(0)", "print('never')", outputs=["build/model.json"])
    assert (outcome["status"], outcome["missing_outputs"]) == ("failed", ["build/model.json"])
    assert "build/model.json" in outcome["error"]
    assert (outcome["cells"], outcome["cells_run"]) == (2, 1)
    assert lab.states() == ["completed", "not_run"]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"kernel_name": "no-such-kernel"}, "no-such-kernel"), ({"grant_file": "/no/such/file"}, "no grant")],
)
def test_what_cannot_start_has_an_outcome(lab: Lab, change: dict[str, Any], said: str) -> None:
    outcome = lab.run("print('never')", **change)
    assert outcome["status"] == "failed"
    assert said in outcome["error"]
    assert lab.states() == ["not_run"]


def test_a_specification_that_cannot_be_used_has_an_outcome(lab: Lab) -> None:
    process = lab.start(lab.prepare("print('never')", notebook="../secret.ipynb"))
    assert process.wait(60) == 2
    outcome = json.loads((lab.folder / "outcome.json").read_text())
    assert outcome["status"] == "failed"
    assert "notebook must be a path inside the project" in outcome["error"]
