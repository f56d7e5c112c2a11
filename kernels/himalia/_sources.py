"""The project's own modules (the folders of HIMALIA_PATH) on a cluster: shipped as bytes, so that nothing is shared.

A client sends them to the scheduler and to all workers, also those that come later, whenever their digest differs from
what is there. Modules of an older lot are forgotten, so that the next task imports the new ones. One cluster has one
lot: that of the client that connected last.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger("himalia.sources")
NAME = "himalia-sources"
LIMIT = 32 << 20
"""Bytes of all files; more is data, which belongs elsewhere."""
SKIPPED = {"__pycache__", "node_modules", "venv"}
Files = Mapping[str, bytes]
"""Contents by path; the first part of each path is the number of its folder in HIMALIA_PATH."""

_lock = threading.Lock()
_installed: tuple[str, str] | None = None
"""Digest and folder of what this process imports from."""


def folders() -> list[Path]:
    """The folders of HIMALIA_PATH."""
    return [Path(text) for text in os.environ.get("HIMALIA_PATH", "").split(os.pathsep) if text]


def collect(places: Iterable[Path]) -> dict[str, bytes]:
    """The files of these folders. Warns, and takes only Python's, when they are more than LIMIT."""
    found = {
        f"{number}/{path.relative_to(place).as_posix()}": path
        for number, place in enumerate(places)
        for path in _files(place)
    }
    if sum(path.stat().st_size for path in found.values()) > LIMIT:
        warnings.warn(
            f"The folders of the project's modules hold more than {LIMIT >> 20} MiB: the cluster gets their *.py only. "
            "Put data elsewhere than in src/.",
            stacklevel=3,
        )
        found = {name: path for name, path in found.items() if path.suffix == ".py"}
    return {name: path.read_bytes() for name, path in found.items()}


def _files(place: Path) -> list[Path]:
    found = []
    for root, names, files in os.walk(place):
        names[:] = sorted(name for name in names if name not in SKIPPED and not name.startswith("."))
        found += [Path(root, name) for name in sorted(files) if not name.startswith(".")]
    return [path for path in found if path.is_file()]


def digest(files: Files) -> str:
    """SHA-256 (hex) of the files with their names."""
    sha = hashlib.sha256()
    for name in sorted(files):
        sha.update(f"{len(name.encode())} {len(files[name])}\n{name}".encode() + files[name])
    return sha.hexdigest()


def place(wanted: Iterable[str]) -> None:
    """Put folders on sys.path, behind the standard library and before installed packages, as in a kernel."""
    names = [os.path.basename(entry) for entry in sys.path]  # noqa: PTH119
    at = next((index for index, name in enumerate(names) if name in ("site-packages", "dist-packages")), len(names))
    sys.path[at:at] = [folder for folder in wanted if folder not in sys.path]


def install(lot: str, files: Files) -> None:
    """Import from these files from now on, instead of those of an earlier lot. Safe to repeat."""
    global _installed
    with _lock:
        if _installed is not None and _installed[0] == lot:
            return
        base = os.environ.get("DASK_TEMPORARY_DIRECTORY") or None  # removed with the cluster
        if base is not None:
            Path(base).mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix="himalia-src-", dir=base)
        for name, data in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        old, _installed = _installed, (lot, folder)
        if old is not None:
            _forget(old[1])
        place(str(Path(folder, number)) for number in sorted({name.partition("/")[0] for name in files}, key=int))
        importlib.invalidate_caches()
    log.info("the project's modules are those of %s: %d files", lot[:12], len(files))


def _forget(folder: str) -> None:
    sys.path[:] = [entry for entry in sys.path if not entry.startswith(folder + os.sep)]
    for name, module in list(sys.modules.items()):
        places = [getattr(module, "__file__", None) or "", *_search(module)]
        if any(place.startswith(folder + os.sep) for place in places):
            del sys.modules[name]
    shutil.rmtree(folder, ignore_errors=True)


def _search(module: Any) -> list[str]:
    """Where a package looks for its modules; a namespace package has no file."""
    return [str(place) for place in getattr(module, "__path__", None) or []]


def install_on_scheduler(lot: str, files: Files, dask_scheduler: Any = None) -> None:
    """As `install`; the scheduler reads graphs that name functions of the project."""
    install(lot, files)


def ship(client: Any) -> str | None:
    """Send this process's modules to the cluster of *client* (a ``distributed.Client``) unless it has them.

    Returns their digest; None when there are none, and none were sent before.
    """
    files = collect(folders())
    lot = digest(files)
    known: str | None = client.get_metadata([NAME], default=None)
    if known == lot or (known is None and not files):
        return known
    from himalia._sources_plugin import SourcesPlugin

    client.run_on_scheduler(install_on_scheduler, lot, files)
    client.register_plugin(SourcesPlugin(lot, files), name=NAME)
    client.set_metadata([NAME], lot)
    return lot
