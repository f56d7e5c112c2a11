"""The launcher's way with the path: our version of himalia, and nothing else of ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from himalia import __version__

LAYER = Path(__file__).parents[3] / "kernels"
PROBE = """
import json, runpy, sys
launcher = sys.argv[1]
module = runpy.run_path(launcher)
sys.path.insert(0, launcher.rpartition("/")[0])
module["leave_own_folder"]()
before = list(sys.path)
module["provide_himalia"]()
import himalia, himalia._connection
print(json.dumps({"version": himalia.__version__, "file": himalia.__file__, "before": before, "path": sys.path,
                  "inner": himalia._connection.__file__}))
"""


def probe(layer: Path, *installed: Path) -> dict[str, Any]:
    code = "import sys\n" + "".join(f"sys.path.insert(0, {str(path)!r})\n" for path in installed) + PROBE
    command = [sys.executable, "-S", "-I", "-c", code, str(layer / "himalia/kernel_main.py")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def copy(target: Path, version: str = __version__) -> Path:
    """An installed copy of himalia, beside another package."""
    shutil.copytree(LAYER / "himalia", target / "himalia", ignore=shutil.ignore_patterns("__pycache__"))
    (target / "himalia/_version.py").write_text(f'__version__ = "{version}"\n')
    return target


def test_without_himalia_the_layer_comes_last() -> None:
    result = probe(LAYER)
    assert result["version"] == __version__
    assert result["path"] == [*result["before"], str(LAYER)]
    assert str(LAYER / "himalia") not in result["path"]


def test_the_same_version_in_the_environment_is_used_as_it_is(tmp_path: Path) -> None:
    result = probe(LAYER, copy(tmp_path))
    assert result["file"] == str(tmp_path / "himalia/__init__.py")
    assert result["path"] == result["before"]


def test_another_version_gives_way_for_himalia_alone(tmp_path: Path) -> None:
    result = probe(LAYER, copy(tmp_path, "0.0.1"))
    assert result["version"] == __version__
    assert result["inner"] == str(LAYER / "himalia/_connection.py")
    assert result["path"] == [*result["before"], str(LAYER)]


def test_a_broken_layer_does_not_stop_the_kernel(tmp_path: Path) -> None:
    layer = copy(tmp_path)
    (layer / "himalia/__init__.py").write_text("raise RuntimeError('broken')\n")
    launcher = layer / "himalia/kernel_main.py"
    done = subprocess.run(
        [sys.executable, str(launcher), "--version"], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert done.returncode == 0
    assert done.stdout.strip()
