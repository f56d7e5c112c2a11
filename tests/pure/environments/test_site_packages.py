"""What the site's own Python holds, and what an overlay does to it."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from himalia_server.environments import site_packages
from himalia_server.environments.site_packages import find_python, quarrels, site_digest, site_folders, site_versions


def test_the_sites_versions_are_known() -> None:
    found = site_versions()
    for name in ("pandas", "numpy", "uv", "jupyter-client"):
        assert found[name] == version(name)
    assert all(folder.is_dir() for folder in site_folders())
    assert len(site_digest()) == 64


def test_the_digest_changes_with_a_package(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    before = site_digest()
    (folder / "Tiny_One-1.0.dist-info").mkdir()
    assert site_packages.site_versions() == {"tiny-one": "1.0"}
    assert site_digest() != before


def test_what_the_site_wants_otherwise_is_told() -> None:
    told = quarrels({"numpy": "1.0"})
    assert any(line.startswith("pandas of the site wants numpy") and line.endswith("has 1.0") for line in told)
    assert quarrels({"numpy": version("numpy")}) == []
    assert quarrels({"numpy": "1.0", "pandas": "1.0"}) != told  # what is in the overlay itself is its own business


def test_the_sites_own_python_needs_no_search() -> None:
    own = (os.path.realpath(sys.executable), platform.python_version())
    assert find_python(None, "/no/uv", {}) == own
    assert find_python(".".join(own[1].split(".")[:2]), "/no/uv", {}) == own
    assert find_python(own[1], "/no/uv", {}) == own
