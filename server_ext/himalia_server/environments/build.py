"""The process that builds one environment: resolve, create, install. A supervised child of the service.

`python -m himalia_server.environments.build --spec FILE`. What it does is its log; how far it is stands in
`progress.json`, how it ended in `outcome.json`, both beside the spec.

An environment cannot be moved, so it is made where it will be, under a lock, and `complete.json` is written last: what
has none is nobody's, and is removed and made anew.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..locking import try_lock
from ..service.site import private_folder, write_private
from .faults import Fault
from .lock import Lock, LockFault, environment_key
from .resolve import resolve
from .site_packages import find_python, quarrels, site_digest, site_folders, site_versions
from .source import Source, read_lock
from .uv import BuildFault, Uv, redacted, say, uv_program

MARKER = "complete.json"
OVERLAY = "zzz_himalia_site.pth"
"""Sorted behind other .pth files, so that the site's packages come last."""


@dataclass(frozen=True)
class Built:
    """An environment on the disk. `bytes`: what its files take; `notes`: for who uses it."""

    key: str
    lock: str
    folder: str
    python: str
    version: str
    base: str
    overlay: bool
    packages: int
    bytes: int
    notes: list[str]


def read_marker(folder: Path) -> Built | None:
    """The environment in *folder*; None when it is not complete, or its Python is gone."""
    try:
        built = Built(**json.loads((folder / MARKER).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return built if os.access(built.python, os.X_OK) else None


def key_of(lock: str, source: Source, python: tuple[str, str]) -> str:
    """The environment's key; *python*: path and version of the interpreter below it."""
    return environment_key(lock, *python, site_digest() if source.overlay else None)


def folder_of(root: Path, key: str) -> Path:
    """Where the environment *key* is; short, since it begins the first line of scripts."""
    return root / key[:16]


class Builder:
    """One build."""

    def __init__(self, spec: dict[str, Any], place: Path) -> None:
        self.place, self.root = place, Path(spec["root"])
        self.project, self.upgrade = Path(spec["project"]), bool(spec["upgrade"])
        given = spec["source"]
        self.source = Source(**given | {"files": tuple(given["files"]), "indexes": tuple(given["indexes"])})
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("HIMALIA_")}
        self.uv = Uv(self.project, self.env, self.step)

    def step(self, text: str) -> None:
        """Tell what is being done."""
        write_private(self.place / "progress.json", json.dumps({"step": text}))

    def run(self) -> dict[str, Any]:
        """Build it, or find it built; what the service is to know."""
        began = time.monotonic()
        python = find_python(self.source.python, uv_program(), self.env)
        if python is None:
            raise BuildFault(
                Fault(
                    f"This machine has no Python {self.source.python}. Install it, or name another one in himalia.toml."
                )
            )
        lock, resolved = self.lock(python)
        key = key_of(lock.digest, self.source, python)
        folder = folder_of(self.root, key)
        descriptor = self._take(folder)
        try:
            built = read_marker(folder)
            shared = built is not None
            if built is None:
                built = self.create(folder, key, lock, python)
            else:
                say("This very environment is on the disk already.")
            self.keep(lock)
        finally:
            os.close(descriptor)
        for note in built.notes:
            say(f"note: {note}")
        say(f"Ready after {time.monotonic() - began:.1f} s: {_packages(built.packages)}, {built.python}")
        return {"status": "ready", "environment": built.__dict__, "shared": shared, "resolved": resolved}

    def lock(self, python: tuple[str, str]) -> tuple[Lock, bool]:
        """The lock to build from, and whether it was resolved just now."""
        kept, name = read_lock(self.project, self.source.lock), self.source.lock
        if kept is not None and kept.source == self.source.digest and not self.upgrade:
            say(f"{name} is up to date with {self.source.path}.")
            return kept, False
        self.step("resolving")
        say(f"{name} is {'older than' if kept else 'not there: it is made from'} {self.source.path}.")
        site = site_versions() if self.source.overlay else {}
        lock = resolve(self.uv, self.project, self.place, self.source, python, site, None if self.upgrade else kept)
        return lock, True

    def _take(self, folder: Path) -> int:
        """The lock on an environment's folder; another build of the same one is waited for."""
        told = False
        while (descriptor := try_lock(folder.with_name(f"{folder.name}.lock"))) is None:
            if not told:
                self.step("waiting for another project, which builds the same environment")
                told = True
            time.sleep(0.2)
        return descriptor

    def create(self, folder: Path, key: str, lock: Lock, python: tuple[str, str]) -> Built:
        """Make the environment in its folder; what a killed build left there is removed."""
        self.step("creating the environment")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            return self._create(folder, key, lock, python)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _create(self, folder: Path, key: str, lock: Lock, python: tuple[str, str]) -> Built:
        self.uv("venv", "--python", python[0], "--no-python-downloads", "--no-config", str(folder))
        program = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
        packages = Path(self._ask(program, "import sysconfig; print(sysconfig.get_path('purelib'))"))
        if self.source.overlay:
            lines = [f"import site; site.addsitedir({str(place)!r})\n" for place in site_folders()]
            (packages / OVERLAY).write_text("".join(lines))
        entries = [entry for entry in lock.entries if entry.applies(python[1])]
        site = site_versions() if self.source.overlay else {}
        wanted = [entry for entry in entries if entry.direct or site.get(entry.name) != entry.version]
        if len(wanted) < len(entries):
            own = len(entries) - len(wanted)
            say(f"{own} of {_packages(len(entries))} {'is' if own == 1 else 'are'} the site's own.")
        if wanted:
            self.step(f"installing {_packages(len(wanted))}")
            self.install(program, Lock(tuple(wanted)))
        if self._ask(program, "import importlib.util as u; print(u.find_spec('ipykernel') is not None)") != "True":
            raise BuildFault(
                Fault("ipykernel is not in the environment, so that no kernel can start in it.", "ipykernel")
            )
        versions = {entry.name: entry.version for entry in wanted if not entry.direct}
        notes = quarrels(versions) if self.source.overlay else []
        built = Built(
            key=key,
            lock=lock.digest,
            folder=str(folder),
            python=str(program),
            version=python[1],
            base=python[0],
            overlay=self.source.overlay,
            packages=len(entries),
            bytes=disk_bytes(folder),
            notes=notes,
        )
        write_private(folder / MARKER, json.dumps(built.__dict__))
        return built

    def install(self, program: Path, lock: Lock) -> None:
        """Install exactly *lock*; from uv's cache alone when the network is away."""
        file = self.place / "install.txt"
        file.write_text(lock.body)
        strict = ["--require-hashes"] if all(entry.hashes for entry in lock.entries) else []
        command = ["pip", "install", "--python", str(program), "--no-deps", "--compile-bytecode", "-r", str(file)]
        try:
            self.uv(*command, *strict, *self.source.indexes)
        except BuildFault as error:
            if not error.fault.network:
                raise
            say("The network is away; all may be in uv's cache.")
            try:
                self.uv(*command, *strict, *self.source.indexes, "--offline")
            except BuildFault:
                raise error from None

    def keep(self, lock: Lock) -> None:
        """Write the lock into the project, unless the same is there."""
        path = self.project / self.source.lock
        text = Lock(lock.entries, self.source.digest).text
        path.parent.mkdir(exist_ok=True)
        if not path.parent.resolve().is_relative_to(self.project.resolve()):
            raise BuildFault(Fault(f"{path.parent} leads out of the project, so the lock cannot be kept."))
        if path.exists() and path.read_text() == text:
            return
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        try:
            temporary.write_text(text)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        say(f"{self.source.lock} was written; commit it.")

    def _ask(self, program: Path, code: str) -> str:
        asked = subprocess.run([program, "-c", code], cwd=self.place, capture_output=True, text=True, check=False)
        if asked.returncode != 0:
            raise BuildFault(Fault(f"The Python of the environment does not run: {asked.stderr.strip()[-300:]}"))
        return asked.stdout.strip()


def _packages(count: int) -> str:
    return "1 package" if count == 1 else f"{count} packages"


def disk_bytes(folder: Path) -> int:
    """What the files below *folder* take on the disk; those of uv's cache that are linked there count too."""
    total = 0
    for base, _, files in os.walk(folder):
        for name in files:
            status = (Path(base) / name).lstat()
            total += getattr(status, "st_blocks", status.st_size // 512) * 512
    return total


def main() -> None:
    """Build as the spec says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    spec_file = Path(parser.parse_args().spec)
    place = private_folder(spec_file.parent)
    outcome: dict[str, Any]
    try:
        outcome = Builder(json.loads(spec_file.read_text()), place).run()
    except BuildFault as error:
        outcome = {"status": "failed", "error": redacted(error.fault.sentence), "package": error.fault.package}
    except LockFault as error:
        outcome = {"status": "failed", "error": f"The lock cannot be used: {redacted(str(error))}.", "package": None}
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        text = "The disk is full: free some space and build again." if full else f"A file cannot be used: {error}."
        outcome = {"status": "failed", "error": text, "package": None}
    if outcome["status"] == "failed":
        say(f"failed: {outcome['error']}")
    write_private(place / "outcome.json", json.dumps(outcome))
    sys.exit(0 if outcome["status"] == "ready" else 1)


if __name__ == "__main__":
    main()
