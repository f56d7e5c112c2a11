"""Which modules there are, and whose names they take."""

from __future__ import annotations

from pathlib import Path

from himalia_server.components import shadowed
from himalia_server.components.modules import collisions, modules_in, modules_of


def test_modules_of_files_and_packages() -> None:
    paths = [
        "a.py",
        "b/__init__.py",
        "b/c.py",
        "d/e/f.py",
        "no-name.py",
        "x/data.json",
        "readme.toml",
        "z.cpython-311.so",
    ]
    assert modules_in(paths) == ["a", "b", "d", "z"]


def test_modules_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    for path in ("b/c/d.py", "e/data.json", "__pycache__/f.py", ".hidden/g.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert modules_of(tmp_path) == ["a", "b"]
    assert modules_of(tmp_path / "absent") == []


def test_names_of_others_are_told(tmp_path: Path) -> None:
    for name in ("json.py", "pytest.py", "mine.py"):
        (tmp_path / name).touch()
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").touch()
    found = {shadow.module: shadow for shadow in shadowed(tmp_path)}
    assert {name: shadow.standard for name, shadow in found.items()} == {"json": True, "pytest": False, "numpy": False}
    assert "standard library" in found["json"].sentence
    assert "hides the installed package" in found["numpy"].sentence


def test_another_interpreter_has_other_packages(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "own.py").touch()
    site = tmp_path / "env" / "lib" / "python3.12" / "site-packages"
    (site / "own").mkdir(parents=True)
    (site / "own" / "__init__.py").touch()
    assert shadowed(tmp_path / "src") == []
    assert [shadow.module for shadow in shadowed(tmp_path / "src", str(tmp_path / "env/bin/python"))] == ["own"]


def test_collisions_name_the_one_that_is_taken() -> None:
    told = collisions(["a", "b"], {"t/x@1": ["b", "c"], "t/y@2": ["c", "d"]})
    assert len(told) == 2
    assert "'b' is in src/ and in t/x@1" in told[0]
    assert "'c' is in t/x@1 and in t/y@2: import c takes the one of t/x@1" in told[1]
