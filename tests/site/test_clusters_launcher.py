"""The launcher of schedulers and workers by itself: it fails closed."""

from __future__ import annotations

import os
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


def test_the_launchers_folder_does_not_shadow_modules() -> None:
    code = (
        "import importlib.util, json, sys; sys.path.insert(0, sys.argv[2]); "
        "spec = importlib.util.spec_from_file_location('launcher', sys.argv[1]); "
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); "
        "module.prepare_path('/layer'); print(json.dumps([sys.argv[2] in sys.path, sys.path[-1]]))"
    )
    command = [sys.executable, "-c", code, str(LAUNCHER), str(LAUNCHER.parent)]
    assert subprocess.check_output(command, text=True).strip() == '[false, "/layer"]'
