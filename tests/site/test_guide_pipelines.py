"""The guide of pipelines: its blocks pasted into a terminal, its cells run in its kernel, in the order of the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site.guides import PROJECT, Reader, open_guide
from tests.site.lab import Lab

GUIDE = "notebooks-as-a-pipeline"


@pytest.fixture(autouse=True)
def gone(lab: Lab) -> Iterator[None]:
    """Other tests of the session find the site as it was."""
    yield
    lab.request("DELETE", f"/projects/{PROJECT}", params={"purge": True, "remove_files": True})


@pytest.mark.timeout(600)  # a busy machine starts a dozen processes slowly
def test_the_guide_from_top_to_bottom(lab: Lab, tmp_path: Path) -> None:
    lab.tracking_ready()
    reader = Reader(Path(open_guide(lab, GUIDE)["notebook"]), tmp_path)
    reader.read("title", None)
    said = reader.printed
    assert "0 of 2 stages up to date." in said["run"]
    assert "2 of 2 stages up to date." in said["run"]
    assert "code cell 2 changed" in said["cut"]
    rows = [line.split()[:2] for line in said["cut"].splitlines()[-2:]]
    assert rows == [["prepare", "succeeded"], ["fit", "skipped"]]
    assert "failed" in said["fail"]
    assert "failed" in said["look"]
    assert "3 runs" in said["sweep"]
    assert said["points"].count("succeeded") >= 3
    assert "43" in said["verdict"]
    assert "42" in said["verdict"]
    assert "Europe/Berlin" in said["schedule"]
    assert "Would remove" in said["away"]
    runs = lab.get(f"/projects/{PROJECT}/runs?kind=pipeline")["items"]
    shared = [stage["status"] for run in runs[:3] for stage in run["stages"] if stage["name"] == "prepare"]
    assert shared == ["skipped"] * 3
    assert lab.get(f"/projects/{PROJECT}/schedules")["items"] == []
