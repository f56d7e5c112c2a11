"""Specification of a holder, and the environment it gives to its processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from himalia_server.clusters import ClusterSpec, SpecError
from himalia_server.clusters.backends import create_backend
from himalia_server.clusters.backends.commands import dask_environment
from himalia_server.clusters.backends.process import explain_exit
from himalia_server.clusters.backends.slot import restart_delay
from himalia_server.clusters.certificates import ClusterCertificates
from himalia_server.clusters.spec import parse_size


@pytest.fixture
def value(tmp_path: Path) -> dict[str, Any]:
    return {
        "name": "shared",
        "project": "flights",
        "profile": {"backend": "local"},
        "python": sys.executable,
        "layer": None,
        "folder": str(tmp_path / "state"),
        "socket": "/tmp/hm/control.sock",
        "workers": 2,
        "threads_per_worker": 1,
        "memory_limit": "2GiB",
    }


def test_a_good_specification(value: dict[str, Any]) -> None:
    spec = ClusterSpec.parse(value | {"env": {"MLFLOW_TRACKING_URI": "http://x"}})
    assert (spec.backend, spec.workers, spec.memory_bytes) == ("local", 2, 2 * 2**30)
    assert spec.env == {"MLFLOW_TRACKING_URI": "http://x"}


@pytest.mark.parametrize(
    ("field", "bad", "says"),
    [
        ("name", "Team A", "lower-case"),
        ("name", None, "must be a text"),
        ("project", "../x", "lower-case"),
        ("profile", {"kind": "local"}, "backend"),
        ("python", "python3", "absolute"),
        ("python", "/nowhere/python", "not a program"),
        ("layer", "/nowhere", "launcher"),
        ("folder", "state", "absolute"),
        ("socket", "/" + "s" * 120, "unix sockets allow 100"),
        ("workers", -1, "from 0 to 1000"),
        ("workers", True, "whole number"),
        ("workers", "2", "whole number"),
        ("threads_per_worker", 0, "from 1"),
        ("memory_limit", "much", "'2GiB'"),
        ("memory_limit", "64MiB", "too little"),
        ("memory_limit", 2**30, "text"),
        ("env", {"A-B": "x"}, "environment variable"),
        ("env", {"A": 1}, "must be a text"),
        ("env", ["A=1"], "object"),
        ("colour", "red", "unknown field"),
    ],
)
def test_faults_are_named(value: dict[str, Any], field: str, bad: object, says: str) -> None:
    with pytest.raises(SpecError, match=f"^{field}: .*{says}") as caught:
        ClusterSpec.parse(value | {field: bad})
    assert caught.value.field == field


def test_a_file_is_read_only_when_it_is_private(value: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(value))
    path.chmod(0o644)
    with pytest.raises(SpecError, match="make it 0600"):
        ClusterSpec.load(path)
    path.chmod(0o600)
    assert ClusterSpec.load(path).name == "shared"
    path.write_text("{")
    with pytest.raises(SpecError, match="not valid JSON"):
        ClusterSpec.load(path)
    with pytest.raises(SpecError, match="cannot read"):
        ClusterSpec.load(tmp_path / "absent.json")


def test_an_unknown_backend_is_refused(value: dict[str, Any], tmp_path: Path) -> None:
    spec = ClusterSpec.parse(value | {"profile": {"backend": "moon"}})
    with pytest.raises(SpecError, match="unknown backend 'moon'"):
        create_backend(spec, ClusterCertificates(tmp_path), lambda: None)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("2GiB", 2**31), ("1.5 GB", 1_500_000_000), ("512MiB", 2**29), ("1kb", 1000), ("10 B", 10)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_processes_see_no_secret_of_the_service(value: dict[str, Any]) -> None:
    spec = ClusterSpec.parse(value | {"threads_per_worker": 3, "env": {"HIMALIA_PROJECT": "flights"}})
    inherited = {
        "PATH": "/bin",
        "JUPYTERHUB_API_TOKEN": "s",
        "JPY_SESSION_NAME": "s",
        "MLFLOW_TRACKING_PASSWORD": "s",
        "HIMALIA_TOKEN_FILE": "s",
        "PYTHONPATH": "/service",
        "PYTHONHASHSEED": "7",
    }
    assert dask_environment(spec, inherited) == {
        "DASK_TEMPORARY_DIRECTORY": str(spec.folder / "scratch"),
        "PATH": "/bin",
        "PYTHONHASHSEED": "7",
        "OMP_NUM_THREADS": "3",
        "OPENBLAS_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "HIMALIA_PROJECT": "flights",
    }


def test_restarts_back_off() -> None:
    assert [restart_delay(failures) for failures in (0, 1, 2, 3)] == [0.25, 0.5, 1.0, 2.0]
    assert restart_delay(1000) == 30.0


def test_exits_are_explained() -> None:
    assert explain_exit(-9) == "was killed by SIGKILL"
    assert "no package 'distributed'" in explain_exit(3)
    assert explain_exit(1) == "ended with status 1 (see the cluster's log)"
