"""Tiny packages, made in the test, so that no environment of a test needs a network."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_BACKEND = """
import os, time, zipfile
METADATA = {metadata!r}
def _write(put):
    put({info!r} + "/METADATA", METADATA)
    put({info!r} + "/WHEEL", {wheel!r})
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    os.mkdir(os.path.join(folder, {info!r}))
    def put(name, text):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    _write(put)
    return {info!r}
def build_wheel(folder, config_settings=None, metadata_directory=None):
    open({gate!r} + ".reached", "w").close()
    while os.path.exists({gate!r}):
        time.sleep(0.05)
    name = {name!r} + "-" + {version!r} + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        _write(archive.writestr)
        archive.writestr({name!r} + ".py", "")
        archive.writestr({info!r} + "/RECORD", "")
    return name
"""


def _metadata(name: str, version: str, requires: Sequence[str] = ()) -> str:
    lines = "".join(f"Requires-Dist: {text}\n" for text in requires)
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}"


def make_wheel(folder: Path, name: str, version: str, requires: Sequence[str] = ()) -> Path:
    """A wheel of a module that knows its version."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"__version__ = {version!r}\n",
        f"{info}/METADATA": _metadata(name, version, requires),
        f"{info}/WHEEL": _WHEEL,
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(zipfile.ZipInfo(file), text)  # without the time: made twice, it has one hash
    return path


def make_slow_sdist(folder: Path, name: str, version: str, gate: Path) -> Path:
    """A source package whose build makes `<gate>.reached` and goes on when *gate* is gone."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = _metadata(name, version)
    backend = _BACKEND.format(
        metadata=metadata, info=f"{name}-{version}.dist-info", wheel=_WHEEL, gate=str(gate), name=name, version=version
    )
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": backend,
        "PKG-INFO": metadata,
    }
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{file}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path
