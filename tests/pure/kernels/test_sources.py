"""The project's modules on a worker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from himalia import _sources


def test_what_is_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in ("a.py", "b/c.json", "b/__pycache__/c.pyc", ".git/x", ".hidden"):
        (one / path).parent.mkdir(parents=True, exist_ok=True)
        (one / path).write_text(path)
    two.mkdir()
    (two / "d.py").write_text("d")
    monkeypatch.setenv("HIMALIA_PATH", f"{one}:{two}:{tmp_path / 'absent'}")
    files = _sources.collect(_sources.folders())
    assert files == {"0/a.py": b"a.py", "0/b/c.json": b"b/c.json", "1/d.py": b"d"}
    before = _sources.digest(files)
    (two / "d.py").write_text("e")
    assert _sources.digest(_sources.collect(_sources.folders())) != before


def test_names_and_contents_cannot_be_mixed_up() -> None:
    lots = [{"0/a": b"bc"}, {"0/ab": b"c"}, {"0/a": b"b", "0/c": b""}, {}]
    assert len({_sources.digest(files) for files in lots}) == 4


def test_too_much_is_left_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sources, "LIMIT", 10)
    (tmp_path / "data.bin").write_bytes(b"x" * 20)
    (tmp_path / "a.py").write_text("a")
    with pytest.warns(UserWarning, match=r"\*\.py only"):
        assert list(_sources.collect([tmp_path])) == ["0/a.py"]


SCRIPT = """
import json, os, sys
from himalia import _sources
def lot(value):
    return {"0/pkg/__init__.py": b"", "0/pkg/part.py": f"V = {value}".encode(), "1/single.py": b"import pkg.part",
            "0/json.py": b"raise ImportError", "0/space/in_it.py": b""}
_sources.install("one", lot(1))
import pkg.part, single, space.in_it
assert json.dumps(pkg.part.V) == "1"
kept = pkg.part
_sources.install("one", lot(5))
assert sys.modules["pkg.part"] is kept
_sources.install("two", lot(2))
assert not {"pkg", "pkg.part", "single", "space", "space.in_it"} & set(sys.modules)
import pkg.part
assert (pkg.part.V, kept.V) == (2, 1)
import json.decoder
folders = [name for name in os.listdir(sys.argv[1])]
assert len(folders) == 1, folders
_sources.install("none", {})
try:
    import single
except ModuleNotFoundError:
    print("fine")
"""


def test_a_new_lot_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    layer = str(Path(_sources.__file__).parent.parent)
    env = {"PYTHONPATH": layer, "DASK_TEMPORARY_DIRECTORY": str(tmp_path)}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr
