"""How a stage's runner comes to be: forked where a zygote of runners lives, else a process like any other."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from himalia_kernels import run_stage, zygote, zygotes
from tests.site.test_kernels_stage import Lab, lab, runners
from tests.waiting import short_dir, wait_until

__all__ = ["lab", "runners"]
pytestmark = pytest.mark.skipif(zygote.unsupported() is not None, reason=str(zygote.unsupported()))


def forks(folder: Path) -> int:
    return sum(facts["forks"] for facts in zygotes.all_facts(folder))


def test_a_forked_runner_has_the_stage_environment_alone(lab: Lab) -> None:
    """What it needs is not taken from the stage's folder, where files have whatever names."""
    for name in ("papermill", "nbclient", "json"):
        (lab.folder / f"{name}.py").write_text("raise SystemExit('a file of the user')")
    before = forks(lab.zygotes)
    outcome = lab.run("import os; print(os.getcwd())")
    assert (outcome["status"], forks(lab.zygotes)) == ("succeeded", before + 1), lab.log()
    assert str(lab.folder / "work") in lab.log()


def test_without_a_zygote_it_runs_and_one_is_wanted(lab: Lab) -> None:
    with short_dir() as folder:
        lab = replace(lab, zygotes=folder)
        (lab.folder / "papermill.py").write_text("raise SystemExit('a file of the user')")
        assert lab.run("1")["status"] == "succeeded", lab.log()
        (wanted,) = folder.glob("*.want")
        assert json.loads(wanted.read_text())["command"][0] == sys.executable
        assert zygotes.start_wanted(folder) == 1
        mother = run_stage.runner_zygote(folder)
        wait_until(lambda: (mother.facts() or {}).get("state") == "ready", 60, "the zygote of runners")
        assert lab.run("1")["status"] == "succeeded", lab.log()
        assert forks(folder) == 1
        assert zygotes.end_all(folder) == 1


def test_who_waits_for_a_runner_takes_it_along(lab: Lab) -> None:
    """The supervisor kills what it has started; a runner elsewhere must not go on without it."""
    process = lab.start(lab.prepare("import time; print('at it', flush=True); time.sleep(600)"))
    wait_until(lambda: "at it" in lab.log(), 60, "the cell")
    runner = next(one for one in psutil.process_iter() if _runs(one, lab))
    process.kill()
    process.wait(30)
    wait_until(lambda: not runner.is_running() or runner.status() == psutil.STATUS_ZOMBIE, 30, "the runner's end")
    wait_until(lambda: lab.left() == [], 30, "the kernel's end")


def test_a_runner_that_is_killed_is_told_by_its_signal(lab: Lab) -> None:
    process = lab.start(lab.prepare("import time; print('at it', flush=True); time.sleep(600)"))
    wait_until(lambda: "at it" in lab.log(), 60, "the cell")
    next(one for one in psutil.process_iter() if _runs(one, lab)).kill()
    assert process.wait(30) == -signal.SIGKILL
    wait_until(lambda: lab.left() == [], 30, "the kernel's end")


def _runs(process: psutil.Process, lab: Lab) -> bool:
    """Whether that is the forked runner of the lab's stage."""
    try:
        return process.name() == "himalia-stage" and str(lab.folder) in " ".join(process.cmdline())
    except psutil.Error:
        return False
