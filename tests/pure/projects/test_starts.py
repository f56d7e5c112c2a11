"""How the next kernel starts, as the zygotes' files of facts say."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from himalia_kernels import zygote
from himalia_server.projects.kernels.starts import kernel_start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="zygotes are for Linux")


def write(folder: Path, name: str, **facts: Any) -> None:
    """A zygote's file; its process is this one, which lives."""
    usual = {
        "state": "ready",
        "pid": os.getpid(),
        "started_at": 1.0,
        "python": "/p",
        "preload": ["json", "torch", "bad"],
        "import_seconds": {"json": 0.25, "bad": 0.5, "ipykernel": 1.0},
        "seconds": 1.75,
        "failed": {"bad": "ValueError: no"},
        "absent": ["torch"],
        "memory": {"uss_bytes": 5},
        "forks": 3,
        "kernels": [1, 2],
        "refused": None,
    }
    (folder / f"{name}.json").write_text(json.dumps(usual | facts))


def test_the_newest_zygote_of_that_python_and_list_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", started_at=2.0, forks=9)
    write(tmp_path, "c", started_at=3.0, python="/other")
    write(tmp_path, "d", started_at=4.0, preload=["json"])
    write(tmp_path, "e", started_at=5.0, state="stale")
    view = kernel_start(tmp_path, "/p", ["json", "torch", "bad"])
    assert (view.state, view.forks, view.kernels, view.seconds, view.bytes) == ("ready", 9, 2, 1.75, 5)
    assert [(one.name, one.seconds, one.problem) for one in view.modules] == [
        ("json", 0.25, None),
        ("torch", None, "not installed"),
        ("bad", 0.5, "ValueError: no"),
    ]


def test_why_it_starts_as_an_ordinary_process(tmp_path: Path) -> None:
    assert kernel_start(tmp_path, "/p", None).state == "none"
    assert [one.name for one in kernel_start(tmp_path, "/p", None).modules] == list(zygote.DEFAULT_PRELOAD)
    assert kernel_start(tmp_path, "/p", []).state == "off"
    write(tmp_path, "a", state="refused", refused="a preloaded module has started threads (x)", pid=2**22 + 1)
    view = kernel_start(tmp_path, "/p", ["json", "torch", "bad"])
    assert (view.state, view.reason) == ("refused", "a preloaded module has started threads (x)")
    write(tmp_path, "a", pid=2**22 + 1)
    assert kernel_start(tmp_path, "/p", ["json", "torch", "bad"]).state == "none", "it has ended"
