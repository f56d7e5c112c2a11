"""What `himalia doctor` can be told only in parts: there is no NFS here, and no fault of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from himalia_server.cli import doctor as room
from himalia_server.cli.doctor import machine
from himalia_server.cli.doctor.finding import Place
from himalia_server.store import engines


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HIMALIA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_check_that_fails_itself_is_told_and_the_others_go_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_place: Place) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setitem(room.CHECKS, "disk", broken)
    done = CliRunner().invoke(room.doctor, ["--json"])
    found = {item["check"]: item for item in json.loads(done.output)}
    assert done.exit_code == 1
    assert found["disk"]["ok"] is False
    assert found["disk"]["detail"] == "this could not be checked: ZeroDivisionError: division by zero"
    assert list(found)[-1] == "open files"
    assert not home.exists()


def test_a_network_file_system_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("himalia_server.store.file_system_type", lambda _path: "nfs4")
    assert "nfs4" in engines.NETWORK_FILE_SYSTEMS
    verdict = machine.file_system(Place(home))
    assert (verdict.ok, "network file system (nfs4)" in verdict.detail) == (False, True)


def test_the_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_container_memory", lambda: 300 << 20)
    verdict = machine.memory(Place(Path("/")))
    assert (verdict.ok, "300 MiB available in this container" in verdict.detail) == (False, True)


def test_twenty_troubles_and_more_have_a_check_of_their_own() -> None:
    assert len(room.CHECKS) >= 20
    assert all(check.__doc__ for check in room.CHECKS.values())
