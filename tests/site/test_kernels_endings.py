"""How a stage ends by the worst that a notebook can do: the table of faults, with real kernels."""

from __future__ import annotations

import signal
from typing import Any

import nbformat

from tests.site.test_kernels_stage import Lab, lab, runners
from tests.waiting import wait_until

__all__ = ["lab", "runners"]
SLEEP = "import time; time.sleep(600)"
MB = 1_000_000


def brief(outcome: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(outcome[name] for name in ("status", "cell", "cells_run", "signal", "exit_status"))


def test_a_cell_at_its_own_limit(lab: Lab) -> None:
    outcome = lab.run("time = 1", SLEEP, "print('never')", cell_timeout_s=1, timeout_s=500)
    assert brief(outcome) == ("timed_out", 2, 1, None, None), lab.log()
    assert (outcome["limit"], outcome["error"]) == ("cell", "The cell reached its time limit of 1 s")
    assert "`cell_timeout` under `[stages.train]`" in outcome["hint"]
    assert lab.states() == ["completed", "failed", "not_run"]
    shown = [output.ename for output in lab.notebook().cells[1].outputs]
    assert shown == ["KeyboardInterrupt", "StageStopped"]  # where it was, and why


def test_crashes_and_exits(lab: Lab) -> None:
    for code, expected in (
        ("import sys; sys.exit(1)", ("failed", 1, 0, None, 1)),
        ("import ctypes; ctypes.string_at(0)", ("kernel_died", 1, 0, "SIGSEGV", None)),
    ):
        outcome = lab.run(code, "print('never')")
        assert brief(outcome) == expected, (code, outcome)
        assert lab.states() == ["failed", "not_run"], code


def test_memory_above_the_limit_is_told(lab: Lab) -> None:
    lab.service.granted["limits"] = {"memory_bytes": 600 * MB, "cpus": None}
    outcome = lab.run("print('a')", "x = b'x' * 2_000_000_000", "print('never')")
    # killed in a control group, refused by the limit of the process otherwise
    assert (outcome["status"], outcome["error_name"]) in {("kernel_died", "KernelDied"), ("failed", "MemoryError")}
    assert (outcome["oom"], outcome["cell"]) == (True, 2)
    assert "572.2 MiB" in outcome["hint"]
    assert "`memory` under `[kernel]`" in outcome["hint"]


def test_notebook_and_kept_notebook_removed_while_running(lab: Lab) -> None:
    kept = lab.folder / "kept/stage.ipynb"
    remove = f"import os; os.remove('stage.ipynb'); os.remove({str(kept)!r}); os.rmdir({str(kept.parent)!r})"
    outcome = lab.run("print('a')", remove, "print('b')")
    assert (outcome["status"], outcome["cells_run"], outcome["removed"]) == ("succeeded", 3, ["stage.ipynb"])
    assert lab.notebook().cells[2].outputs[0].text == "b\n"


CLEANING = """
import pathlib, time
pathlib.Path("running").touch()
try:
    time.sleep(600)
finally:
    time.sleep(1)
    pathlib.Path("cleaned").touch()
"""


def test_cancel_leaves_a_grace(lab: Lab) -> None:
    process = lab.start(lab.prepare(CLEANING, "print('never')"))
    wait_until((lab.folder / "work/running").exists, 60, "the cell to run")
    process.send_signal(signal.SIGTERM)
    outcome = lab.finish(process)
    assert brief(outcome) == ("cancelled", 1, 0, None, None)
    assert (lab.folder / "work/cleaned").exists()


def test_partial_notebook_and_progress_while_it_runs(lab: Lab) -> None:
    wait = "import pathlib, time\nprint('half')\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)"
    process = lab.start(lab.prepare("1 + 1", wait, "3", progress_detail=True))

    def half() -> bool:
        kept = lab.folder / "kept/stage.ipynb"
        cells = nbformat.read(kept, 4).cells if kept.exists() else []
        return bool(cells and cells[1].outputs and cells[1].outputs[0].text == "half\n")

    wait_until(half, 60, "the output of the running cell in the kept notebook")
    assert lab.states() == ["completed", "running", "pending"]
    wait_until(lambda: lab.service.calls("POST", "/progress")[-1:][0]["cells_done"] == 1, 30, "the progress")
    assert lab.service.calls("POST", "/progress")[-1]["running"] is True
    (lab.folder / "work/go").touch()
    outcome = lab.finish(process)
    posts = lab.service.calls("POST", "/progress")
    assert (posts[-1]["cell"], posts[-1]["cells_done"], posts[-1]["running"]) == (3, 3, False)
    ends = [end for post in posts for end in post["ended"]]
    assert [(end["cell"], end["status"]) for end in ends] == [(1, "succeeded"), (2, "succeeded"), (3, "succeeded")]
    assert [end["seconds"] for end in ends] == outcome["cell_seconds"]
