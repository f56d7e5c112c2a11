"""Units of systemd: what systemd itself thinks of them, at odd places."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from himalia_server.cli import unit
from himalia_server.cli.output import Failure
from himalia_server.service import lifecycle
from himalia_server.service.site import Site
from tests.system import find_or_install
from tests.waiting import short_dir, wait_until

PYTHON = sys.executable
ODD = 'a %h $HOME "quoted" back\\slash, ümlaut'


pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site and a Python in folders with odd names."""
    odd = tmp_path / ODD
    (odd / "bin").mkdir(parents=True)
    (odd / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(odd / "bin" / "python"))
    monkeypatch.setenv("HIMALIA_HOME", str(odd / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(odd / "data"))
    monkeypatch.setenv("HIMALIA_DATABASE_URL", "postgresql://ada:geheim@db/himalia")
    return odd


def run(*words: str) -> Result:
    return CliRunner().invoke(unit.service, words)


def verify(file: Path) -> str:
    """What systemd says against the unit; empty when nothing."""
    program = find_or_install(
        "systemd-analyze",
        lambda: shutil.which("systemd-analyze"),
        ["systemd"],
        elsewhere="elsewhere a package systemd",
    )
    done = subprocess.run([program, "verify", str(file)], capture_output=True, text=True, check=False)
    own = [line for line in (done.stdout + done.stderr).splitlines() if file.name in line]
    return "\n".join(own) or ("" if done.returncode == 0 else done.stderr)


@pytest.mark.parametrize("name", ["himalia", "team-2"])
def test_systemd_verifies_the_unit(tmp_path: Path, name: str) -> None:
    done = run("install", "--name", name)
    assert done.exit_code == 0, done.output
    file = tmp_path / "config" / "systemd" / "user" / f"{name}.service"
    assert f"systemctl --user enable --now {name}" in done.output
    assert "loginctl enable-linger" in done.output
    assert verify(file) == ""
    assert "geheim" not in file.read_text()
    assert "may hold a password" in done.output


def test_systemd_verifies_the_unit_for_root(tmp_path: Path) -> None:
    done = CliRunner().invoke(unit.service, ["install", "--system"])
    file = tmp_path / "himalia.service"
    file.write_text(done.stdout)
    assert verify(file) == ""
    assert "\nUser=" in done.stdout
    assert "WantedBy=multi-user.target" in done.stdout
    assert "sudo systemctl enable --now himalia" in done.stderr


def test_the_verification_can_fail(tmp_path: Path) -> None:
    file = tmp_path / "broken.service"
    file.write_text(unit.unit_text(tmp_path).replace("ExecStart=", "ExecStart=/no/such/program "))
    assert "/no/such/program" in verify(file)


def test_the_unit_is_written_once_and_never_over_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is written" in run("install").output
    assert "is there already" in run("install").output
    monkeypatch.setenv("HIMALIA_HOME", str(tmp_path / "other"))
    refused = run("install")
    assert refused.exit_code == 1
    assert "another site or Python" in refused.output
    assert run("install", "--force").exit_code == 0
    file = unit.unit_file("himalia")
    assert str(tmp_path / "other") in file.read_text()
    file.write_text("[Service]\nExecStart=/bin/true\n")
    assert "not Himalia's" in run("install").output
    assert "not written by Himalia" in run("uninstall").output
    assert run("uninstall", "--force").exit_code == 0
    assert not file.exists()
    assert run("uninstall").exit_code == 4


def test_uninstall_removes_the_link_that_enabled_it(tmp_path: Path) -> None:
    run("install")
    file = unit.unit_file("himalia")
    wants = file.parent / "default.target.wants"
    wants.mkdir()
    (wants / file.name).symlink_to(file)
    assert run("uninstall").exit_code == 0
    assert [path for path in file.parent.rglob("*") if not path.is_dir()] == []


def test_what_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("install", "--name", "../evil").exit_code == 2
    with pytest.raises(Failure, match="cannot be written into a unit"):
        unit.unit_text(tmp_path / "a\nExecStart=/bin/evil")
    monkeypatch.setattr(sys, "platform", "darwin")
    refused = run("install")
    assert refused.exit_code == 1
    assert "only Linux" in refused.output


def words_of(unit_text: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a unit, unquoted as systemd does it."""
    entries = [line.partition("=") for line in unit_text.splitlines() if "=" in line and not line.startswith("#")]
    command = next(value for key, _, value in entries if key == "ExecStart")
    variables = [shlex.split(value)[0].replace("%%", "%") for key, _, value in entries if key == "Environment"]
    words = [word.replace("%%", "%") for word in shlex.split(command)]
    return [words[0].removeprefix(":"), *words[1:]], dict(item.split("=", 1) for item in variables)


def test_the_units_own_command_is_a_service_that_the_command_line_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    with short_dir() as root:
        home = root / "a %h $HOME"
        monkeypatch.setattr(sys, "executable", PYTHON)
        monkeypatch.setenv("HIMALIA_HOME", str(home))
        monkeypatch.setenv("JUPYTER_DATA_DIR", str(root / "data"))
        monkeypatch.setenv("TMPDIR", str(root))
        command, variables = words_of(unit.unit_text(home))
        assert variables["HIMALIA_HOME"] == str(home)
        assert "HIMALIA_DATABASE_URL" not in variables
        # what systemd gives to a unit of an account, and nothing of ours
        bare = {"HOME": str(root), "USER": "ada", "LOGNAME": "ada", "XDG_RUNTIME_DIR": str(root)}
        process = subprocess.Popen(command, cwd="/", env=bare | variables, stdin=subprocess.DEVNULL)
        try:
            site = Site.open(home)
            found = wait_until(lambda: lifecycle.find(site) or process.poll(), 60, "the service")
            assert isinstance(found, lifecycle.Found), f"it ended with {found}"
            assert found.identity.pid == process.pid, "it stays in the foreground"
            shown = subprocess.run(
                [PYTHON, "-c", "from himalia_server.cli import main; main()", "status", "--json"],
                capture_output=True,
                text=True,
                check=True,
                env=os.environ | {"HIMALIA_HOME": str(home)},
            )
            assert json.loads(shown.stdout)["pid"] == process.pid
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, "so that Restart=on-failure leaves it down"
        finally:
            process.kill()
            process.wait()
            lifecycle.sweep(Site.open(home))
