"""A stage on a worker, as far as it needs no service."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from himalia._remote_service import Service
from himalia._remote_work import Work


def test_a_stage_does_not_run_with_other_packages_than_its_key_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    environment = {"digest": "sha256:" + "0" * 64, "name": "training.txt, overlay"}
    grant = {"environment": environment, "python": "/nowhere/bin/python"}
    offer = {"folders": [], "files": {}, "grant": grant, "spec": {}}
    service = Service.__new__(Service)  # is not asked
    with Work(service, offer, "worker-1", str(tmp_path / "scratch"), threading.Event()) as work:
        outcome = work.result()["outcome"]
    assert outcome["status"] == "failed"
    assert "worker-1 does not have the environment" in outcome["error"]
    assert "training.txt, overlay" in outcome["error"]
    assert "/nowhere/bin/python" in outcome["error"]
    assert list((tmp_path / "scratch").iterdir()) == []
