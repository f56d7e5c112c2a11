"""The guide of projects: its blocks pasted into a terminal, its cells run in its kernel, in the order of the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site.guides import PROJECT, Reader, open_guide
from tests.site.lab import Lab

GUIDE = "many-projects-side-by-side"
PURGE = {"purge": True, "remove_files": True}


@pytest.fixture(autouse=True)
def gone(lab: Lab) -> Iterator[None]:
    """Other tests of the session find the site as it was."""
    yield
    for name in (PROJECT, "autumn", "winter"):
        lab.request("DELETE", f"/projects/{name}", params=PURGE)


@pytest.mark.timeout(600)  # a busy machine starts a dozen processes slowly
def test_the_guide_from_top_to_bottom(lab: Lab, tmp_path: Path) -> None:
    lab.tracking_ready()
    reader = Reader(Path(open_guide(lab, GUIDE)["notebook"]), tmp_path)
    reader.read("title", "look")
    said = reader.printed
    assert "autumn" in said["second"]
    assert PROJECT in said["here"]
    assert "strong" in said["use"]
    assert f"{PROJECT}/tasting@1.0" in said["publish"]
    assert "breaking" in said["compare"]
    assert "strong_from" in said["compare"]
    assert "tabulate" in said["packages"]
    assert "CELLAR_PASSWORD" in said["secret"]
    assert "not-a-real-password" not in said["secret"]
    environment = lab.get("/projects/autumn/environment")
    assert (environment["state"], environment["packages"]) == ("ready", 1)
    assert f"{PROJECT}/tasting@1.0" in (Path(lab.get("/projects/autumn")["path"]) / "himalia.toml").read_text()

    reader.read("look", None)  # the kernel was started again
    assert "with 19 letters" in said["look"]
    assert said["start"].startswith(("fork", "ordinary"))
    assert "winter" in said["file"]
    for name in ("autumn", "winter"):
        assert lab.request("GET", f"/projects/{name}").status_code == 404
    assert lab.get(f"/projects/{PROJECT}/secrets")["items"] == []
    assert not list(tmp_path.iterdir())
