"""A uv.lock that is older than its pyproject.toml. The texts are uv 0.13's; the site's tests ask uv itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from himalia_server.environments.resolve import _given
from himalia_server.environments.source import Source
from himalia_server.environments.uv import BuildFault
from himalia_server.environments.uv_lock import differences

PROJECT = """
[project]
name = "Demo_Proj"
version = "0.1"
requires-python = ">=3.11"
dependencies = [
    "Alpha >= 1.0, <3", "beta.x==1.*; python_version < '3.14'", "gamma>=0.5; sys_platform == 'linux'",
    "gamma; sys_platform != 'linux'", "epsilon[Fast] ~= 1.4.2", "eta>=1.0-rc1", "mine>=2",
    "theta @ https://files.example/theta-1.0-py3-none-any.whl",
]
[project.optional-dependencies]
plot = ["delta>=3"]
[tool.uv.sources]
mine = { git = "https://git.example/mine" }
"""
LOCK = """
version = 1
revision = 5
requires-python = ">=3.11"

[[package]]
name = "alpha"
version = "2.0"
source = { registry = "../wheels" }

[[package]]
name = "demo-proj"
version = "0.1"
source = { virtual = "." }
dependencies = [{ name = "alpha" }]

[package.metadata]
requires-dist = [
    { name = "alpha", specifier = ">=1.0,<3" },
    { name = "beta-x", marker = "python_full_version < '3.14'", specifier = "==1.*" },
    { name = "delta", marker = "extra == 'plot'", specifier = ">=3" },
    { name = "epsilon", extras = ["fast"], specifier = "~=1.4.2" },
    { name = "eta", specifier = ">=1.0rc1" },
    { name = "gamma", marker = "sys_platform != 'linux'" },
    { name = "gamma", marker = "sys_platform == 'linux'", specifier = ">=0.5" },
    { name = "mine", git = "https://git.example/mine" },
    { name = "theta", url = "https://files.example/theta-1.0-py3-none-any.whl" },
]
provides-extras = ["plot"]
"""
EMPTY = 'version = 1\n[[package]]\nname = "demo-proj"\nversion = "1"\nsource = { virtual = "." }\n'


def test_a_lock_of_this_very_project_has_no_difference() -> None:
    assert differences(PROJECT, LOCK) == {}
    assert differences('[project]\nname = "demo-proj"\ndependencies = []\n', EMPTY) == {}


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('"eta>=1.0-rc1"', '"eta>=1.0-rc1", "polars>=1"', {"polars": "is asked for as >=1"}),
        ('"eta>=1.0-rc1"', '"eta"', {"eta": "is asked for"}),
        ('"eta>=1.0-rc1", ', "", {"eta": "is no longer asked for"}),
        ("Alpha >= 1.0, <3", "Alpha >= 2.0", {"alpha": "is asked for as >=2.0"}),
        ("gamma>=0.5", "gamma>=0.6", {"gamma": "is asked for as >=0.6"}),
        ("Demo_Proj", "another", {"another": "is the project's name"}),
        ('"mine>=2"', '"mine>=3"', {}),  # git says which
        ('plot = ["delta>=3"]', 'plot = ["delta>=4"]', {}),  # not installed
    ],
)
def test_what_has_changed_since_is_named(old: str, new: str, found: dict[str, str]) -> None:
    assert old in PROJECT
    assert differences(PROJECT.replace(old, new), LOCK) == found


@pytest.mark.parametrize(
    ("project", "lock"),
    [
        ("[tool.uv.workspace]\n", LOCK),
        ("[project", LOCK),
        (PROJECT, "version = 1\n"),
        (PROJECT, "["),
        ('[project]\nname = "x"\ndynamic = ["dependencies"]\n', LOCK),
        ('[project]\nname = "x"\ndependencies = ["a b c"]\n', LOCK),
        ("project = 1\n", LOCK),
    ],
)
def test_what_cannot_be_compared_is_left_to_uv(project: str, lock: str) -> None:
    assert differences(project, lock) == {}


@pytest.mark.parametrize(("form", "path"), [("pyproject", "sub/pyproject.toml"), ("lock", "sub/uv.lock")])
def test_a_build_with_an_older_lock_says_what_to_run(tmp_path: Path, form: str, path: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "pyproject.toml").write_text(PROJECT.replace("Alpha >= 1.0, <3", "Alpha >= 2.0"))
    (tmp_path / "sub" / "uv.lock").write_text(LOCK)
    source = Source(cast(Any, form), path, "isolated", None, "d", ("sub/pyproject.toml", "sub/uv.lock"))

    def uv(*_words: str) -> None:
        raise AssertionError("it is told before uv is asked")

    with pytest.raises(BuildFault) as refused:
        _given(cast(Any, uv), tmp_path, tmp_path, source)
    fault = refused.value.fault
    assert fault.sentence.startswith(
        "uv.lock is older than pyproject.toml: alpha is asked for as >=2.0. Run `uv lock` in"
    )
    assert (fault.package, "remove uv.lock" in fault.sentence) == ("alpha", form == "pyproject")
