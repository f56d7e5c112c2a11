"""The parts of the kernel side: environment, kernelspec, service, processes, labels, hints, outcome."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from himalia_kernels import hints
from himalia_kernels.environment import kernel_environment
from himalia_kernels.kernelspec import remove_kernelspec, write_kernelspec
from himalia_kernels.notebook import label
from himalia_kernels.processes import OomCounter, end_session, signal_name
from himalia_kernels.progress import ProgressReporter
from himalia_kernels.service import ServiceNotFoundError, find_service, proof
from himalia_kernels.spec import SpecError, StageSpec
from tests.pure.kernels.fake_service import SLUG, FakeService
from tests.waiting import wait_until

LAYER = Path(__file__).parents[3] / "kernels"
KEPT = ("PATH", "HOME", "JPY_PARENT_PID", "JPY_SESSION_NAME", "MLFLOW_HTTP_REQUEST_TIMEOUT", "TOKENIZERS_PARALLELISM")
WITHHELD = (
    "JUPYTERHUB_USER",
    "JPY_API_TOKEN",
    "JUPYTER_TOKEN",
    "JUPYTER_SERVER_ROOT_TOKEN",
    "CONFIGPROXY_AUTH_TOKEN",
    "HIMALIA_GRANT_FILE",
    "HIMALIA_HOME",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_PASSWORD",
    "AWS_PROFILE",
    "AZURE_CLIENT_ID",
    "GCP_PROJECT",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "github_token",
    "DB_PASSWD",
    "PGPASSWORD",
    "OPENAI_API_KEY",
    "MY_SECRETS",
    "X_CREDENTIALS",
)


def test_environment() -> None:
    given = dict.fromkeys((*KEPT, *WITHHELD, "SSH_AUTH_SOCK"), "x")
    assert kernel_environment(given).keys() == {*KEPT, "SSH_AUTH_SOCK"}
    assert kernel_environment(given, attended=False).keys() == set(KEPT)
    allowed = kernel_environment(given, ["AWS_*", "OPENAI_API_KEY", "*"])
    assert {"AWS_PROFILE", "OPENAI_API_KEY"} <= allowed.keys()
    assert not {"HIMALIA_HOME", "JPY_API_TOKEN", "JUPYTER_TOKEN"} & allowed.keys()


def test_kernelspec(tmp_path: Path) -> None:
    folder = write_kernelspec(tmp_path, "a-b", "A", sys.executable, LAYER, SLUG, tmp_path / "home", ["AWS_*"])
    document = json.loads((folder / "kernel.json").read_text())
    assert document["argv"] == [sys.executable, str(LAYER / "himalia/kernel_main.py"), "-f", "{connection_file}"]
    config = {"project": SLUG, "site": str(tmp_path / "home"), "pass_environment": ["AWS_*"]}
    assert document["metadata"]["kernel_provisioner"] == {"provisioner_name": "himalia", "config": config}
    write_kernelspec(tmp_path, "a-b", "B", sys.executable, LAYER, SLUG, tmp_path / "home")
    drawn = ["kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"]
    assert sorted(path.name for path in folder.iterdir()) == drawn
    assert remove_kernelspec(tmp_path, "a-b")
    assert not remove_kernelspec(tmp_path, "a-b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [{"name": "../a"}, {"name": "A b"}, {"project": "A"}, {"python": "python3"}, {"layer": Path("/no/such")}],
)
def test_kernelspecs_that_cannot_work(tmp_path: Path, change: dict[str, Any]) -> None:
    given = {"name": "a", "python": sys.executable, "layer": LAYER, "project": SLUG} | change
    with pytest.raises(ValueError):
        write_kernelspec(tmp_path, display_name="A", site_home=tmp_path, **given)
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_kernelspec_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "python3").mkdir()
    (tmp_path / "python3/kernel.json").write_text("{}")
    with pytest.raises(ValueError, match="not a kernelspec of Himalia"):
        remove_kernelspec(tmp_path, "python3")


def test_the_service_proves_itself(service: FakeService) -> None:
    assert find_service(service.home) == (service.address, service.token)
    service.honest = False
    with pytest.raises(ServiceNotFoundError, match="not this site's service"):
        find_service(service.home)
    assert len(proof("ab", "cd")) == 64


@pytest.mark.parametrize("name", ["site.json", "tokens/user"])
def test_secrets_that_others_can_read_are_not_trusted(service: FakeService, name: str) -> None:
    (service.home / name).chmod(0o644)
    with pytest.raises(ServiceNotFoundError, match="chmod 600"):
        find_service(service.home)


def test_addresses_of_other_hosts_are_not_asked(service: FakeService) -> None:
    (service.home / "service.json").write_text(json.dumps({"address": "http://example.org:80"}))
    with pytest.raises(ServiceNotFoundError, match="no address of this host"):
        find_service(service.home)


def test_memory_kills_are_counted(tmp_path: Path) -> None:
    def write(count: int) -> None:
        events = tmp_path / "sys/fs/cgroup/app/memory.events"
        events.parent.mkdir(parents=True, exist_ok=True)
        events.write_text(f"oom 1\noom_kill {count}\n")

    assert OomCounter(tmp_path).verdict(-9) == "unknown"
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/app\n")
    write(1)
    counter = OomCounter(tmp_path)
    assert counter.verdict(-9) is False
    write(2)
    assert counter.verdict(-9) is True
    assert counter.verdict(-11) is False
    assert (signal_name(-9), signal_name(3), signal_name(None)) == ("SIGKILL", None, None)


def test_a_session_is_ended_with_its_members() -> None:
    leader = subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!; exec sleep 600"], start_new_session=True, stdout=subprocess.PIPE
    )
    assert leader.stdout is not None
    child = int(leader.stdout.readline())
    assert set(end_session(leader.pid)) == {leader.pid, child}
    leader.wait(10)
    leader.stdout.close()


def test_progress_is_posted_and_never_in_the_way(granted: FakeService) -> None:
    url = f"{granted.address}/api/v1/projects/{SLUG}/runs/r/stages/s/progress"
    reporter = ProgressReporter(url, Path(os.environ["HIMALIA_TOKEN_FILE"]))
    reporter.report(1, 2, "Read")
    wait_until(lambda: granted.calls("POST", "/progress"), 10, "the progress")
    reporter.close()
    assert granted.calls("POST", "/progress") == [{"cell": 1, "cells": 2, "label": "Read"}]


def test_progress_failures_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    reporter = ProgressReporter("http://127.0.0.1:1/", None)
    reporter.report(1, 2, None)
    wait_until(lambda: caplog.records, 10, "the failure")
    reporter.report(2, 2, None)
    reporter.close()
    assert len(caplog.records) == 1


def test_labels() -> None:
    cells = [new_code_cell("# note\nimport os"), new_markdown_cell("# A\n```\n# no\n```\n## B #"), new_code_cell("x")]
    assert label(cells, 0) == "import os"
    assert label(cells, 2) == "B"
    assert label([new_code_cell("y" * 90)], 0) == "y" * 60


def spec(**change: Any) -> StageSpec:
    paths = dict.fromkeys(("workdir", "output", "grant_file", "outcome"), "/w")
    names = {"run_id": "r", "stage": "train", "notebook": "a.ipynb", "kernel_name": "k"}
    return StageSpec.from_json(paths | names | change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"notebook": "/a.ipynb"}, "notebook"),
        ({"outputs": ["../x"]}, "outputs"),
        ({"workdir": "w"}, "workdir"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"stage": ""}, "stage"),
        ({"parameters": [1]}, "parameters"),
    ],
)
def test_specifications_that_cannot_be_used(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        spec(**change)


def test_hints() -> None:
    missing = "[Errno 2] No such file or directory: {!r}"
    given = replace(spec(inputs=["a.csv"]), workdir=Path("/w"))
    assert '`inputs = ["a.csv", "b.csv"]`' in str(hints.for_cell(given, "FileNotFoundError", missing.format("b.csv")))
    assert "declared input" in str(hints.for_cell(given, "FileNotFoundError", missing.format("/w/a.csv")))
    assert "outside" in str(hints.for_cell(given, "FileNotFoundError", missing.format("/etc/x")))
    assert hints.table_of("my stage") == '[stages."my stage"]'
    assert hints.for_cell(given, "ValueError", "x") is None


def test_sockets_lie_in_a_short_private_folder(tmp_path: Path) -> None:
    from himalia_kernels import engine

    assert engine.HimaliaEngine  # asked for first, as everybody does: only then can its own module be imported
    from himalia_kernels._execution import socket_folder

    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    folder = socket_folder(deep)
    try:
        assert not folder.is_relative_to(deep)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        folder.rmdir()
    assert list(deep.iterdir()) == []
