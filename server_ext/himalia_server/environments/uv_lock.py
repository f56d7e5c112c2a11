"""Whether a `uv.lock` was made for the pyproject.toml beside it as that is now.

`uv lock --check` would tell too, but it also refuses a lock that was made with another package index than this
machine's, which is no fault.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from ..service.toml_reader import read_toml

_Asked = set[tuple[str, SpecifierSet | None]]
"""Names and versions; None: it comes from another place than an index, so that versions say nothing."""


def differences(pyproject: str, lock: str) -> dict[str, str]:
    """What the two texts do not agree on: by package, what pyproject.toml says of it now.

    Empty when they agree, and when it cannot be told: uv itself tells what it cannot read.
    """
    try:
        document, locked = read_toml(pyproject), read_toml(lock)
        project = document["project"]
        if "dependencies" in project.get("dynamic", []):
            return {}
        elsewhere = {str(canonicalize_name(name)) for name in document.get("tool", {}).get("uv", {}).get("sources", {})}
        wanted = [Requirement(text) for text in project.get("dependencies", [])]
        asked = _asked(((one.name, str(one.specifier), one.url is not None) for one in wanted), elsewhere)
        name = str(canonicalize_name(project["name"]))
        root = next((package for package in locked["package"] if _is_root(package, name)), None)
        if root is None:
            return {name: "is the project's name"}
        known = _asked(_recorded(root), elsewhere)
    except (tomllib.TOMLDecodeError, InvalidRequirement, InvalidSpecifier, KeyError, TypeError, AttributeError):
        return {}
    fresh = {name: f"is asked for{f' as {versions}' if versions else ''}" for name, versions in asked - known}
    names = {name for name, _ in asked}
    return fresh | {name: "is no longer asked for" for name, _ in known - asked if name not in names}


def _is_root(package: dict[str, Any], name: str) -> bool:
    source = package.get("source", {})
    return package["name"] == name and ("virtual" in source or "editable" in source)


def _recorded(root: dict[str, Any]) -> Iterable[tuple[str, str, bool]]:
    """Name, versions and whether it comes from another place, of each dependency that uv had read."""
    for one in root.get("metadata", {}).get("requires-dist", []):
        if "extra ==" not in one.get("marker", ""):  # those of [project.optional-dependencies] are not installed
            direct = bool({"git", "url", "path", "directory", "editable"} & one.keys())
            yield one["name"], one.get("specifier", ""), direct


def _asked(found: Iterable[tuple[str, str, bool]], elsewhere: set[str]) -> _Asked:
    asked: _Asked = set()
    for name, versions, direct in found:
        plain = str(canonicalize_name(name))
        asked.add((plain, None if direct or plain in elsewhere else SpecifierSet(versions)))
    return asked
