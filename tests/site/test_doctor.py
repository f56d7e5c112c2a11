"""`himalia doctor`: each of the likeliest troubles is made, named, and mended again; all other checks go on."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from himalia import __version__
from himalia_server.cli.doctor import CHECKS, Finding, examine
from himalia_server.service.site import write_private
from tests.site.doctor_cases import ASKED, ASLEEP, CASES, Case
from tests.site.lab import Lab, running_lab
from tests.site.troubles import mounted, variables
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A site of its own, to be harmed and mended; Jupyter finds both extensions, as after an installation."""
    tmp_path_factory.getbasetemp()  # chosen now, not in the lab's TMPDIR, which goes with it
    with running_lab() as lab, pytest.MonkeyPatch.context() as patch:
        config = lab.root / "config" / "jupyter_server_config.d"
        config.mkdir(parents=True)
        shutil.copy(ROOT / "server_ext" / "jupyter-config" / "himalia.json", config)
        labextension = lab.root / "share" / "labextensions" / "himalia"
        labextension.mkdir(parents=True)
        (labextension / "package.json").write_text(json.dumps({"name": "himalia", "version": __version__}))
        patch.setenv("JUPYTER_CONFIG_PATH", str(lab.root / "config"))
        patch.setenv("JUPYTER_PATH", str(lab.root / "share"))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HIMALIA_DATABASE_URL"):
            patch.delenv(name, raising=False)
        lab.project("well", {"one": {"notebook": "one.ipynb"}}, {"one.ipynb": ["n = 1"]})
        yield lab


@pytest.fixture
def asleep(sick: Lab, tmp_path: Path) -> Lab:
    """Another site, whose service does not run: identity and database are copies of the first one's."""
    lab = Lab(tmp_path)
    lab.home.mkdir(mode=0o700)
    shutil.copy(sick.home / "site.json", lab.home)
    with closing(sqlite3.connect(sick.site.database)) as source, closing(sqlite3.connect(lab.site.database)) as copy:
        source.backup(copy)
    lab.site.database.chmod(0o600)
    lab.site.remember(runtime=str(tmp_path / f"himalia-{lab.site.id}"))
    return lab


def himalia(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The real command."""
    command = [sys.executable, "-c", "from himalia_server.cli import main; main()", *words]
    env = os.environ | variables
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)


def check(found: list[Finding], case: Case) -> None:
    """The trouble is named, nothing else is one, and every other check was made."""
    troubles = {finding.check: finding for finding in found if not finding.ok}
    assert set(troubles) == {case.check, *case.also}, found
    said = troubles[case.check]
    assert case.says in said.detail
    assert case.hint in (said.hint or "")
    assert {finding.check for finding in found} == set(CHECKS) - set(case.silences)


@pytest.mark.parametrize("name", CASES)
def test_a_trouble_is_named_while_all_other_checks_go_on(sick: Lab, name: str) -> None:
    case = CASES[name]
    with case.make(sick):
        check(list(examine()), case)


def test_a_healthy_site(sick: Lab) -> None:
    done = himalia("doctor", "--json")
    found = [Finding(**item) for item in json.loads(done.stdout)]
    assert [finding for finding in found if not finding.ok] == []
    assert [finding.check for finding in found] == list(CHECKS)
    assert done.returncode == 0


def test_a_site_without_a_service_and_one_that_does_not_exist(asleep: Lab, tmp_path: Path) -> None:
    assert [finding for finding in examine(asleep.home) if not finding.ok] == []
    assert [finding for finding in examine(tmp_path / "none") if not finding.ok] == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ASLEEP)
def test_a_trouble_is_named_while_the_service_does_not_run(asleep: Lab, name: str) -> None:
    case = ASLEEP[name]
    with case.make(asleep):
        found = list(examine(asleep.home))
    assert "geheim" not in str(found)
    check(found, replace(case, silences=(*case.silences, *ASKED)))


NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@NEEDS_ROOT
def test_a_disk_that_is_nearly_full(asleep: Lab, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir(mode=0o700)
    with mounted("-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", at=tmp_path / "small"):
        found = {finding.check: finding for finding in examine(tmp_path / "small" / "home") if not finding.ok}
        assert set(found) == {"disk"}
        assert found["disk"].detail.startswith("8 MiB free")
        runtime = tmp_path / "small" / asleep.site.runtime.name
        runtime.mkdir(mode=0o700)
        asleep.site.remember(runtime=str(runtime))
        (said,) = [finding for finding in examine(asleep.home) if not finding.ok]
        assert (said.check, "is full" in said.detail) == ("runtime folder", True)


@NEEDS_ROOT
def test_a_folder_that_cannot_be_written_and_one_of_somebody_else(asleep: Lab) -> None:
    with mounted("--bind", str(asleep.home), at=asleep.home):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(asleep.home)], check=True)
        (said,) = [finding for finding in examine(asleep.home) if not finding.ok]
        assert (said.check, "cannot be written" in said.detail) == ("site", True)
    os.chown(asleep.home, 65534, 65534)
    (said,) = [finding for finding in examine(asleep.home) if not finding.ok]
    assert said.check == "site"
    assert "belongs to nobody, and this is root" in said.detail
    assert "sudo chown -R root" in (said.hint or "")


def test_a_kernel_folder_that_cannot_be_made(sick: Lab) -> None:
    """A file lies where the folder should be; root could write into any folder."""
    (sick.root / "file").touch()
    with variables(JUPYTER_DATA_DIR=str(sick.root / "file")):
        troubles = {finding.check for finding in examine() if not finding.ok}
    assert troubles == {"kernel folder", "kernels"}


def test_an_encoding_that_cannot_say_all_is_named_without_a_traceback(sick: Lab) -> None:
    done = himalia("doctor", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("trouble")] == [
        line for line in done.stdout.splitlines() if line.startswith("trouble text encoding:")
    ]
    assert "trouble text encoding" in done.stdout
    assert done.stderr == ""


def test_a_killed_service_what_it_left_and_a_broken_mlflow(sick: Lab) -> None:
    wait_until(lambda: sick.child_pid("mlflow"), 60, "MLflow's process")
    sick.kill_service()
    found = {finding.check: finding for finding in examine()}
    assert {name for name, finding in found.items() if not finding.ok} == {"service"}
    assert "killed without a farewell" in found["service"].detail
    assert "mlflow" in found["leftovers"].detail
    sick.site.state_file.unlink()
    done = himalia("doctor")
    assert done.returncode == 1
    assert "trouble leftovers: processes of an earlier service still run: mlflow" in done.stdout
    assert done.stdout.count("\ntrouble ") == 1
    assert done.stdout.endswith("1 trouble found.\n")

    assert himalia("down").returncode == 0
    write_private(sick.site.tracking_database, "this is no database")
    sick.start()
    wait_until(lambda: "failed" in sick.get("/service")["tracking"], 60, "the end of MLflow's start")
    found = {finding.check: finding for finding in examine() if not finding.ok}
    assert set(found) == {"MLflow", "MLflow's database"}
    assert "could not be started" in found["MLflow"].detail
