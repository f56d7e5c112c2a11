"""The files in `binder/`, as far as a short run goes; `tests/soak/test_binder.py` builds and opens all of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.wheel.machine import ROOT, Machine


def test_start_hands_over_to_jupyter_even_when_the_demo_cannot_run(
    machine: Machine, installed: Path, tmp_path: Path
) -> None:
    """This environment has no data for the demo, which is told at once; the page opens all the same."""
    said = machine.run(
        [str(ROOT / "binder" / "start"), "jupyter", "lab", "--version"], path=installed, HOME=str(tmp_path)
    )
    assert said.strip().startswith("4.")
    log = (tmp_path / "himalia-demo.log").read_text()
    assert "nycflights13" in log
    assert "Traceback" not in log
    machine.run(["himalia", "down"], path=installed, HOME=str(tmp_path))


def test_the_scripts_are_shell() -> None:
    for name in ("start", "postBuild"):
        script = ROOT / "binder" / name
        assert script.stat().st_mode & 0o100, "Binder runs it"
        assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
