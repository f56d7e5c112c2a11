"""Where packages come from on this machine: what uv and pip are told by variables and files."""

from __future__ import annotations

import configparser
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ..service.environment import child_environment

log = logging.getLogger(__name__)
_FORBIDDEN = ("UV_PUBLISH", "UV_PROJECT", "UV_VENV", "UV_SYSTEM", "UV_BREAK", "UV_PYTHON", "UV_WORKING", "UV_REQUIRE")
"""Of uv's variables: a password for publishing, and what would have a build go elsewhere than we say."""
_PASSED = ("UV_", "SSL_", "GIT_SSL_")
_NAMES = {"NETRC", "CURL_CA_BUNDLE", "PYENV_ROOT"}
_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
_PIP = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS"}


def build_environment() -> dict[str, str]:
    """Variables of a build: a child's few, and on purpose those that say where packages are and how to get there.

    Passwords of indexes are among them; they reach uv and what it builds, but no kernel, lock or log. Where uv was
    told nothing, pip's variables and files are followed.
    """
    found = child_environment()
    for name, value in os.environ.items():
        passed = name.startswith(_PASSED) or name in _NAMES or name.lower() in _PROXIES
        if passed and not name.startswith(_FORBIDDEN):
            found[name] = value
    found["UV_PYTHON_DOWNLOADS"] = os.environ.get("UV_PYTHON_DOWNLOADS", "never")
    told = any(name in found for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"))
    if not told and not _own_configuration():
        found |= from_pip(os.environ, pip_files())
    if "SSL_CERT_FILE" not in found and os.environ.get("PIP_CERT"):
        found["SSL_CERT_FILE"] = os.environ["PIP_CERT"]
    return found


def from_pip(variables: Mapping[str, str], files: list[Path]) -> dict[str, str]:
    """uv's variables for what pip is told by *variables* and *files* (the later go before).

    With more than one index pip takes the best version of all of them, so uv is told to do so too.
    """
    told: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError) as error:
            log.warning("pip's settings are not followed: %s cannot be read: %s", file, error)
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                told |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    told |= {name[4:].lower().replace("_", "-"): value for name, value in variables.items() if name.startswith("PIP_")}
    found = {}
    for key, name in _PIP.items():
        places = [place for place in told.get(key, "").split() if _exists(place)]
        if places:
            found[name] = ("," if name == "UV_FIND_LINKS" else " ").join(places)
    if told.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        found["UV_NO_INDEX"] = "1"
    if "UV_INDEX" in found:
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return found


def _exists(place: str) -> bool:
    """pip passes over local folders that are not there, uv fails."""
    path = place.removeprefix("file://")
    return "://" in path or Path(path).expanduser().exists()


def pip_files() -> list[Path]:
    """pip's configuration files, the strongest last."""
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    found = [
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        config / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    chosen = os.environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    return [*found, Path(chosen)] if chosen else found


def _own_configuration() -> bool:
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return (config / "uv" / "uv.toml").exists() or Path("/etc/uv/uv.toml").exists()
