"""Environments in the long run: a site that goes down in the middle of a build, and a kernel of a Python of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.site.lab import running_lab
from tests.site.test_environments import Probe, ask, begun, build, ended, make_project, view_of
from tests.site.wheels import make_slow_sdist
from tests.waiting import wait_until


def test_a_build_goes_on_when_the_site_comes_up_again(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with running_lab() as lab:
        folder = make_project(lab, "env-down", "probe==1.0")
        build(lab, "env-down")
        first = ended(lab, "env-down")
        make_slow_sdist(folder / "wheels", "slowly", "2.0", gate)
        gate.touch()
        ask(folder, "slowly==2.0\nprobe")
        build(lab, "env-down")
        begun(lab, gate)
        lab.stop()  # ends what runs, the build too
        lab.start()
        begun(lab, gate)
        gate.unlink()
        second = ended(lab, "env-down")
        assert second["digest"] != first["digest"]

        # nothing uses the first one any more
        stored = {item["digest"]: item for item in lab.get("/environments")["items"]}
        assert (stored[first["digest"]]["projects"], stored[first["digest"]]["in_use"]) == (0, False)
        assert lab.post("/environments/prune", {"days": 1}, status=200)["removed"] == []
        removed = lab.post("/environments/prune", {}, status=200)
        assert removed["removed"] == [stored[first["digest"]]["key"]]
        assert removed["bytes"] > 0
        kept = sorted(path.name for path in (lab.home / "environments").iterdir() if path.is_dir())
        assert kept == sorted([".builds", Path(second["interpreter"]).parents[1].name])


def test_a_kernel_in_an_environment_of_its_own() -> None:
    """Needs a package index: ipykernel is installed."""
    with running_lab() as lab:
        folder = make_project(lab, "env-own", "", kind="isolated")
        (folder / "requirements.txt").write_text("six==1.16.0\n")
        build(lab, "env-own")
        wait_until(lambda: view_of(lab, "env-own")["state"] != "building", 300, "the build")
        view = view_of(lab, "env-own")
        if view["state"] == "failed" and "could not be reached" in view["error"]:
            pytest.skip("no package index")
        kernel = Probe(lab, "env-own")
        try:
            assert kernel.ask("__import__('six').__version__") == "'1.16.0'"
            assert kernel.ask("__import__('importlib.util').util.find_spec('pandas') is None") == "True"
            assert kernel.ask("__import__('himalia').__name__") == "'himalia'"
        finally:
            kernel.close()
