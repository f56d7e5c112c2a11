"""What the site's own Python holds, and which other Pythons the machine has."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_DISTRIBUTION = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")


def site_folders() -> list[Path]:
    """The folders of the site's packages, in the order of import."""
    found: list[Path] = []
    for name in sys.path:
        path = Path(name).resolve()
        if name and path.name in ("site-packages", "dist-packages") and path.is_dir() and path not in found:
            found.append(path)
    return found


def site_versions() -> dict[str, str]:
    """Version by (canonical) name of all that is installed at the site."""
    state = tuple((str(folder), folder.stat().st_mtime_ns) for folder in site_folders())
    return dict(_versions(state))


@lru_cache(maxsize=2)
def _versions(state: tuple[tuple[str, int], ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for folder, _ in state:
        for path in sorted(Path(folder).iterdir()):
            match = _DISTRIBUTION.fullmatch(path.name)
            if match:
                found.setdefault(str(canonicalize_name(match["name"])), match["version"])
    return found


def site_digest() -> str:
    """Changes when a package of the site is added, removed or gets another version."""
    return hashlib.sha256(json.dumps([sys.executable, site_versions()], sort_keys=True).encode()).hexdigest()


def quarrels(versions: dict[str, str]) -> list[str]:
    """What the site's packages want otherwise than an overlay with *versions* has it; sentences."""
    found = []
    seen = {str(canonicalize_name(name)) for name in versions}
    for distribution in distributions():
        name = str(canonicalize_name(distribution.metadata["Name"] or ""))
        if name in seen:
            continue
        seen.add(name)
        for text in distribution.requires or []:
            try:
                wanted = Requirement(text)
            except InvalidRequirement:
                continue
            have = versions.get(str(canonicalize_name(wanted.name)))
            applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
            if have is not None and applies and not wanted.specifier.contains(have, prereleases=True):
                found.append(f"{name} of the site wants {wanted.name}{wanted.specifier}; this environment has {have}")
    return sorted(found)


def find_python(request: str | None, uv: str, env: dict[str, str]) -> tuple[str, str] | None:
    """Path and full version of an interpreter of this machine; None when it has none of that version.

    *request*: "3.12" or "3.12.1"; None: the site's own.
    """
    own = sys.version_info[:3]
    if request is None or tuple(map(int, request.split("."))) == own[: request.count(".") + 1]:
        return os.path.realpath(sys.executable), ".".join(map(str, own))
    command = [uv, "python", "find", request, "--no-project", "--system", "--no-python-downloads"]
    if env.get("UV_PYTHON_DOWNLOADS", "never") != "never":
        command.pop()
    told = _output(command, 300, env)
    candidates = [told] if told else []
    pyenv = Path(env.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates += [str(path) for path in sorted(pyenv.glob(f"{request}*/bin/python3"), reverse=True)]
    for candidate in candidates:
        version = _version(candidate)
        if version is not None and f"{version}.".startswith(f"{request}."):
            return os.path.realpath(candidate), version
    return None


def _version(python: str) -> str | None:
    return _output([python, "-I", "-S", "-c", "import platform; print(platform.python_version())"], 60)


def _output(command: list[str], timeout: float, env: dict[str, str] | None = None) -> str | None:
    """What a command has printed; None when it fails or says nothing."""
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=timeout)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
