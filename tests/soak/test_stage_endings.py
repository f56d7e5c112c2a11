"""The long forms of how a stage ends: floods of output, every way to exit, notebooks that are none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.site.test_kernels_endings import MB, SLEEP, brief
from tests.site.test_kernels_observed import CELLS, READ_BY_PYTHON, check, fill
from tests.site.test_kernels_stage import KERNEL, Lab, lab, runners
from tests.site.test_kernels_start import comparable

__all__ = ["lab", "runners"]


def test_a_kernel_that_does_not_start(lab: Lab) -> None:
    startup = lab.folder / "ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "wait.py").write_text(SLEEP)
    outcome = lab.run("print('never')", start_timeout_s=1)
    assert brief(outcome) == ("timed_out", None, 0, None, None), lab.log()
    assert outcome["limit"] == "start"
    assert "startup file" in outcome["hint"]


def test_crashes_exits_and_words(lab: Lab) -> None:
    """Each ending with its cell, and no cell after it ran."""
    for code, expected, said in (
        ("import sys; sys.exit(0)", ("succeeded", None, 1, None, None), ""),
        ("import sys; sys.exit(1)", ("failed", 1, 0, None, 1), "sys.exit(1)"),
        ("import sys; sys.exit('no flights')", ("failed", 1, 0, None, 1), "sys.exit(no flights)"),
        ("import os; os._exit(3)", ("kernel_died", 1, 0, None, 3), "exit status 3"),
        ("import ctypes; ctypes.string_at(0)", ("kernel_died", 1, 0, "SIGSEGV", None), "SIGSEGV"),
        ("raise ValueError('x' * 50_000_000)", ("failed", 1, 0, None, None), "characters left out"),
    ):
        outcome = lab.run(code, "print('never')")
        assert brief(outcome) == expected, (code, outcome)
        assert said in (outcome["error"] or ""), code
        assert len(json.dumps(outcome)) < 20_000, code
        assert outcome["exited_cell"] == (1 if outcome["status"] == "succeeded" else None)
        assert lab.states()[1] == "not_run", code


def test_a_cell_that_may_raise(lab: Lab) -> None:
    """papermill alone would say after the run that it failed, and mark the notebook."""
    may_raise = new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]})
    outcome = lab.run("1", may_raise, "print('after')")
    assert brief(outcome) == ("succeeded", None, 3, None, None), lab.log()
    assert [cell.source for cell in lab.notebook().cells] == ["1", "1 / 0", "print('after')"]


FLOOD = """
import sys
line = "y" * 999 + "\\n"
for _ in range(200_000):
    print(line, end="")
for _ in range(4_000):
    print(1, flush=True)
"""
ONE = "print('z' * 60_000_000)\nfrom IPython.display import HTML\nHTML('w' * 30_000_000)"


def test_two_hundred_megabytes_of_output(lab: Lab) -> None:
    process = lab.start(lab.prepare(FLOOD, ONE, "print('after')"))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    outcome = lab.finish(process)
    assert (outcome["status"], outcome["cut_cells"]) == ("succeeded", [1, 2]), lab.log()[-2000:]
    assert outcome["cut_bytes"] > 250 * MB
    assert usage.ru_maxrss < 1_000_000  # in KiB: less than 1 GB
    assert (lab.folder / "kept/stage.ipynb").stat().st_size < 12 * MB
    assert (lab.folder / "log").stat().st_size < 21 * MB
    first, second, last = (cell.outputs for cell in lab.notebook().cells)
    assert len(first) < 200  # small pieces are put together
    assert "output cut after 4.9 MB" in first[-1].text
    assert "Write long output to a file" in second[-1].data["text/plain"]
    assert last[0].text == "after\n"


def test_a_log_has_an_end(lab: Lab) -> None:
    outcome = lab.run(*["print('y' * 4_900_000)"] * 6, "raise ValueError('said all the same')")
    assert outcome["status"] == "failed"
    assert outcome["log_cut_bytes"] > 8 * MB
    log = lab.log()
    assert len(log) < 21 * MB
    assert "log cut after 20.0 MB; the kept notebook has" in log
    assert "said all the same" in log.rpartition("log cut")[2]


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        ("{", "NotebookUnreadableError", "stage.ipynb cannot be read as a notebook"),
        ('{"nbformat": 4}', "NotebookUnreadableError", "no list of cells"),
        (None, "NotebookUnreadableError", "No such file"),
        ({"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}, "LanguageMismatch", "written in R"),
        ({"kernelspec": {"name": "gone", "display_name": "Gone", "language": "python"}}, None, ""),
    ],
)
def test_notebooks_that_are_none_or_another_language(lab: Lab, change: Any, name: str | None, said: str) -> None:
    spec = lab.prepare("print('a')")
    notebook = lab.folder / "work/stage.ipynb"
    if isinstance(change, dict):
        document = nbformat.read(notebook, 4)
        document.metadata.update(change)
        nbformat.write(document, notebook)
    elif change is None:
        notebook.unlink()
    else:
        notebook.write_text(change)
    process = lab.start(spec)
    process.wait(60)
    outcome = json.loads((lab.folder / "outcome.json").read_text())
    assert (outcome["status"], outcome["error_name"]) == ("failed" if name else "succeeded", name)
    assert said in (outcome["error"] or "")
    assert bool(outcome["hint"]) == bool(name)


def test_the_kernels_own_record_alone(lab: Lab) -> None:
    """Where the folder cannot be watched, as on macOS."""
    fill(lab.folder / "work")
    disable = lab.folder / "without/sitecustomize.py"
    disable.parent.mkdir()
    disable.write_text(
        "import himalia_kernels._inotify as watching\n"
        "def refuse(*_): raise watching.Unsupported('not here')\n"
        "watching.ReadWatch._add = refuse\n"
    )
    lab.environment["PYTHONPATH"] = f"{disable.parent}:{Path(__file__).parents[2] / 'kernels'}"
    outcome = lab.run(*CELLS, outputs=["out.csv"], inputs=["data"])
    assert outcome["observed"] == "python"
    check(outcome, READ_BY_PYTHON)


def test_papermill_says_the_same_of_a_cell_that_fails(lab: Lab) -> None:
    """Its own message, its mark in the notebook and its exit status."""
    work = lab.folder / "work"
    work.mkdir()
    cells = [new_code_cell(code, id=f"c{at}") for at, code in enumerate(("1", "1 / 0", "2"))]
    nbformat.write(new_notebook(cells=cells), work / "in.ipynb")
    made = []
    for engine in ("himalia", "nbclient"):
        command = [str(Path(sys.executable).parent / "papermill"), "--engine", engine, "-k", KERNEL, "-l", "python"]
        done = subprocess.run(
            [*command, "in.ipynb", "out.ipynb"],
            env=lab.environment,
            cwd=work,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 1
        assert "ZeroDivisionError" in done.stderr
        made.append(nbformat.read(work / "out.ipynb", 4))
    for notebook in made:
        assert "An Exception was encountered at" in notebook.cells[0].source
        for at, cell in enumerate(notebook.cells):
            cell.id = f"c{at}"
            cell.metadata.setdefault("papermill", {})["status"] = "ours says not_run"
    ours, theirs = map(comparable, made)
    assert ours == theirs
