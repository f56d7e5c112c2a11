"""The wheel in a new environment, on a machine without node."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from himalia import __version__
from tests.wheel.machine import Machine

IMPORT_ALONE = """
import sys
before = set(sys.modules)
sys.path.append(sys.argv[1])
import himalia
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
strangers = loaded - set(sys.stdlib_module_names) - {"himalia"}
assert not strangers, f"import himalia imported {sorted(strangers)}"
assert himalia.__file__.startswith(sys.argv[1]), himalia.__file__
import importlib.metadata
assert importlib.metadata.version("himalia") == himalia.__version__
print(himalia.__version__)
"""
GUIDES = """
from himalia_server.projects.guides import guides
for guide in guides().values():
    print(guide.name, guide.file.parts[-3:-1] == ("_notebooks", "guide"))
"""


def test_jupyterlab_finds_the_labextension(machine: Machine, installed: Path) -> None:
    listing = plain(machine.run(["jupyter", "labextension", "list"], path=installed))
    assert re.search(rf"himalia v{re.escape(__version__)} enabled OK", listing), listing


def test_jupyter_server_finds_the_extension(machine: Machine, installed: Path) -> None:
    listing = plain(machine.run(["jupyter", "server", "extension", "list"], path=installed))
    assert re.search(r"himalia_server\.extension enabled", listing), listing
    assert re.search(rf"himalia_server\.extension {re.escape(__version__)} OK", listing), listing


def test_the_command_answers(machine: Machine, installed: Path) -> None:
    assert __version__ in machine.run(["himalia", "--version"], path=installed)
    assert "usage" in machine.run(["himalia", "--help"], path=installed).lower()


def test_the_guide_is_there(machine: Machine, installed: Path) -> None:
    said = machine.run([str(installed / "python"), "-c", GUIDES], path=installed)
    names = ("from-nothing-to-a-deployed-model", "many-projects-side-by-side", "notebooks-as-a-pipeline")
    assert said.splitlines() == [f"{name} True" for name in names]


def test_the_kernel_layer_needs_only_the_standard_library(
    machine: Machine, wheel: Path, bare_kernel: Path, tmp_path: Path
) -> None:
    layer = ("himalia/", f"himalia-{__version__}.dist-info/")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith(layer)])
    said = machine.run([str(bare_kernel / "python"), "-c", IMPORT_ALONE, str(tmp_path)], path=bare_kernel)
    assert said.strip() == __version__


def plain(text: str) -> str:
    """Without colours, blanks in one."""
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", text))
