"""The launcher of schedulers and workers by itself: it fails closed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import himalia
from tests.waiting import short_dir

LAUNCHER = Path(himalia.__file__).parent / "_dask_main.py"


def launch(folder: Path, parent: int, *dask: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(LAUNCHER), "scheduler", "--parent", str(parent)]
    command += ["--http", str(folder / "http.sock"), "--", *dask]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_scheduler_without_tls_is_refused() -> None:
    with short_dir() as folder:
        ended = launch(folder, os.getpid(), "--host", "127.0.0.1", "--port", "0", "--protocol", "tcp")
    assert ended.returncode == 1
    assert "encryption required" in ended.stderr


def test_a_process_whose_parent_is_gone_does_not_start() -> None:
    with short_dir() as folder:
        ended = launch(folder, os.getpid() + 1, "--port", "0")
    assert ended.returncode == 4


def test_a_holder_refuses_a_folder_that_is_open_to_others() -> None:
    with short_dir() as folder:
        common = folder / "common"
        common.mkdir()
        common.chmod(0o755)
        value = {
            "name": "shared",
            "project": "flights",
            "profile": {"backend": "local"},
            "python": sys.executable,
            "folder": str(folder / "state"),
            "socket": str(common / "control.sock"),
            "workers": 0,
            "threads_per_worker": 1,
            "memory_limit": "512MiB",
        }
        spec = folder / "spec.json"
        spec.touch(mode=0o600)
        spec.write_text(json.dumps(value))
        command = [sys.executable, "-m", "himalia_server.clusters.holder", "--spec", str(spec)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 4
        assert "open to others" in ended.stderr
        assert stat.S_IMODE(common.stat().st_mode) == 0o755


def test_the_launchers_folder_does_not_shadow_modules() -> None:
    code = (
        "import importlib.util, json, sys; sys.path.insert(0, sys.argv[2]); "
        "spec = importlib.util.spec_from_file_location('launcher', sys.argv[1]); "
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); "
        "module.prepare_path('/layer'); print(json.dumps([sys.argv[2] in sys.path, sys.path[-1]]))"
    )
    command = [sys.executable, "-c", code, str(LAUNCHER), str(LAUNCHER.parent)]
    assert subprocess.check_output(command, text=True).strip() == '[false, "/layer"]'
