"""The wheel, built and installed on a machine without node: once for all tests of this folder."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.wheel.machine import ROOT, Machine

NOT_IN_A_COPY = shutil.ignore_patterns(
    ".git",
    ".*_cache",
    ".hypothesis",
    ".venv",
    "venv",
    "node_modules",
    "__pycache__",
    "*.tsbuildinfo",
    "lib",
    "dist",
)
NODE = re.compile(r"(node|nodejs|npm|npx|corepack|yarn|yarnpkg|pnpm|jlpm)(\.\w+)?$")


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """An environment of a user who has everything this machine has, but no node and no Jupyter settings."""
    base = tmp_path_factory.mktemp("machine")
    programs = base / "bin"
    programs.mkdir()
    for folder in os.environ["PATH"].split(os.pathsep):
        if not Path(folder).is_dir() or (Path(folder) / "himalia").exists():
            continue  # nor the programs of the environment that runs the tests
        for program in sorted(Path(folder).iterdir()):
            link = programs / program.name
            if not NODE.match(program.name) and not link.is_symlink():
                link.symlink_to(program)
    assert shutil.which("node", path=str(programs)) is None
    assert shutil.which("npm", path=str(programs)) is None
    return Machine(base, programs)


@pytest.fixture(scope="session")
def source(machine: Machine) -> Path:
    """The repository as a fresh clone has it: nothing built."""
    return Path(shutil.copytree(ROOT, machine.base / "clone", ignore=NOT_IN_A_COPY, symlinks=True))


@pytest.fixture(scope="session")
def wheel(machine: Machine, source: Path) -> Path:
    """The wheel, built from the clone with pip."""
    out = machine.base / "wheel"
    machine.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={out}", "."],
        cwd=source,
        PIP_CONSTRAINT=str(ROOT / "constraints.txt"),
    )
    (built,) = out.glob("himalia-*.whl")
    return built


@pytest.fixture(scope="session")
def installed(machine: Machine, wheel: Path) -> Path:
    """The programs (`bin`) of a new environment that holds the wheel with its dependencies."""
    return machine.environment("installed", [str(wheel)])


@pytest.fixture(scope="session")
def bare_kernel(machine: Machine) -> Path:
    """The programs of a new environment that holds ipykernel and nothing else."""
    return machine.environment("bare", ["ipykernel"])
