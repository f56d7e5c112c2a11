"""What the wheel holds, and what it does not."""

from __future__ import annotations

import gzip
import json
import re
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

from himalia import __version__
from tests.frontend import BUNDLE_LIMIT
from tests.wheel.machine import ROOT, Machine

LABEXTENSION = "share/jupyter/labextensions/himalia"
REGISTRIES = re.compile(r"https?://[a-z0-9.-]*(registry|pypi|npmjs|yarnpkg|pythonhosted|debian)\.[a-z]+", re.I)


@pytest.fixture(scope="module")
def archive(wheel: Path) -> Iterator[zipfile.ZipFile]:
    """The opened wheel."""
    with zipfile.ZipFile(wheel) as opened:
        yield opened


def data(archive: zipfile.ZipFile, path: str) -> str:
    """A file that is installed under the environment's prefix."""
    return archive.read(f"himalia-{__version__}.data/data/{path}").decode()


def test_it_has_the_labextension(archive: zipfile.ZipFile) -> None:
    package = json.loads(data(archive, f"{LABEXTENSION}/package.json"))
    assert package["version"] == __version__
    assert data(archive, f"{LABEXTENSION}/{package['jupyterlab']['_build']['load']}")
    assert data(archive, f"{LABEXTENSION}/static/style.js")
    assert json.loads(data(archive, f"{LABEXTENSION}/install.json"))["packageName"] == "himalia"


def test_it_has_the_settings_schema_of_every_plugin(archive: zipfile.ZipFile, source: Path) -> None:
    written = {file.name: file.read_text() for file in (source / "labextension" / "schema").glob("*.json")}
    assert "service.json" in written
    for name, text in written.items():
        assert json.loads(data(archive, f"{LABEXTENSION}/schemas/himalia/{name}")) == json.loads(text)


def test_it_has_every_chunk_that_the_remote_entry_loads(archive: zipfile.ZipFile) -> None:
    static = {name.rpartition("/")[2] for name in archive.namelist() if f"{LABEXTENSION}/static/" in name}
    (entry,) = (name for name in static if name.startswith("remoteEntry"))
    hashes = re.findall(r'(\d+):"([0-9a-f]{16})"', data(archive, f"{LABEXTENSION}/static/{entry}"))
    chunks = {f"{number}.{digest}.js" for number, digest in hashes}
    assert len(chunks) > 1
    assert chunks - static == set()
    assert {name for name in static if name.endswith(".js")} - chunks == {entry, "style.js"}


def test_the_labextension_is_small(archive: zipfile.ZipFile) -> None:
    scripts = [name for name in archive.namelist() if f"{LABEXTENSION}/static/" in name and name.endswith(".js")]
    assert 0 < sum(len(gzip.compress(archive.read(name))) for name in scripts) <= BUNDLE_LIMIT


def test_it_enables_the_server_extension(archive: zipfile.ZipFile) -> None:
    config = json.loads(data(archive, "etc/jupyter/jupyter_server_config.d/himalia.json"))
    assert config["ServerApp"]["jpserver_extensions"] == {"himalia_server.extension": True}


def test_it_has_every_module_notebook_and_migration(archive: zipfile.ZipFile, source: Path) -> None:
    expected = {
        str(place / path.relative_to(source / folder))
        for folder, place in {
            "kernels": Path(),
            "server_ext/himalia_server": Path("himalia_server"),
            "notebooks": Path("himalia_server/_notebooks"),
        }.items()
        for path in (source / folder).rglob("*")
        if path.suffix in {".py", ".ipynb", ".toml", ".mako", ".md"} and ".ipynb_checkpoints" not in path.parts
    }
    assert any(name.startswith("himalia_server/_notebooks/") for name in expected)
    assert "himalia_server/_notebooks/guide/from-nothing-to-a-deployed-model.ipynb" in expected
    assert any("/migrations/versions/" in name for name in expected)
    expected.add("himalia_server/_schema/himalia.schema.json")  # whatever `himalia schema` and editors are given
    assert expected - set(archive.namelist()) == set()


def test_it_has_its_licence_and_entry_points(archive: zipfile.ZipFile) -> None:
    info = f"himalia-{__version__}.dist-info"
    assert archive.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert Parser().parsestr(archive.read(f"{info}/METADATA").decode())["License-Expression"] == "BSD-3-Clause"
    points = archive.read(f"{info}/entry_points.txt").decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for group in ("console_scripts", *project["entry-points"]):
        assert f"[{group}]" in points


def test_it_has_nothing_else(archive: zipfile.ZipFile) -> None:
    places = ("himalia/", "himalia_kernels/", "himalia_server/", f"himalia-{__version__}.")
    strangers = [name for name in archive.namelist() if not name.startswith(places)]
    rubbish = re.compile(r"(^|/)(tests?|node_modules|__pycache__|\.ipynb_checkpoints)/|\.(pyc|ts|tsx|map|db)$")
    assert strangers == []
    assert [name for name in archive.namelist() if rubbish.search(name)] == []


def test_it_names_no_registry_and_no_folder_of_this_machine(archive: zipfile.ZipFile, machine: Machine) -> None:
    folders = [f"{folder}/" for folder in (machine.base, ROOT, Path.home()) if len(folder.parts) > 1]
    for name in archive.namelist():
        text = archive.read(name).decode(errors="replace")
        assert not REGISTRIES.search(text), f"{name} holds the address of a package registry"
        assert not [folder for folder in folders if folder in text], f"{name} holds a path of this machine"


def test_the_versions_are_pinned_without_addresses() -> None:
    lock = json.loads((ROOT / "labextension" / "package-lock.json").read_text())
    assert lock["version"] == __version__
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert [name for name, package in lock["packages"].items() if name and "integrity" not in package] == []
    for name in ("constraints.txt", "pyproject.toml", "labextension/package-lock.json", "labextension/.npmrc"):
        assert not REGISTRIES.search((ROOT / name).read_text()), f"{name} holds the address of a package registry"
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in pins if not re.match(r"[a-z0-9._-]+==[^ /@]+( ;.*)?$", line)] == []
