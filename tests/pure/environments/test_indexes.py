"""What a build sees of the machine's variables: what it needs to find packages, and not more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from himalia_server.environments.indexes import build_environment, from_pip, pip_files


def test_a_build_sees_indexes_and_no_other_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    given = {
        "UV_DEFAULT_INDEX": "https://ada:geheim@packages.example/simple",
        "UV_INDEX_PACKAGES_PASSWORD": "geheim",
        "UV_PUBLISH_TOKEN": "geheim",
        "UV_PROJECT_ENVIRONMENT": "/srv/other",
        "UV_PYTHON": "/srv/python",
        "HTTPS_PROXY": "http://proxy.example",
        "no_proxy": "localhost",
        "AWS_SECRET_ACCESS_KEY": "geheim",
        "HIMALIA_DATABASE_URL": "geheim",
        "JUPYTERHUB_API_TOKEN": "geheim",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = build_environment()
    told = {"UV_DEFAULT_INDEX", "UV_INDEX_PACKAGES_PASSWORD", "HTTPS_PROXY", "no_proxy"}
    assert set(given) & set(found) == told
    assert found["UV_PYTHON_DOWNLOADS"] == "never"


def test_pip_is_followed_where_uv_was_told_nothing(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://one.example/simple\nextra-index-url =\n  https://two.example/simple\n"
        f"  https://three.example/simple\n[install]\nfind-links = {wheels} {tmp_path / 'absent'}\n"
    )
    found = from_pip({"PIP_INDEX_URL": "https://variable.example/simple"}, [file])
    assert found == {
        "UV_DEFAULT_INDEX": "https://variable.example/simple",
        "UV_INDEX": "https://two.example/simple https://three.example/simple",
        "UV_FIND_LINKS": str(wheels),
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    assert from_pip({}, [tmp_path / "absent.conf"]) == {}
    assert from_pip({"PIP_NO_INDEX": "1"}, []) == {"UV_NO_INDEX": "1"}


def test_pips_files_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert pip_files() == []
