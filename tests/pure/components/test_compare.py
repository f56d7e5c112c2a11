"""What would change with a new version."""

from __future__ import annotations

import pytest

from himalia_server.components.compare import compare, module_name, public

OLD = '''
"""A module."""
def kept(x): return x
def gone(x): return x
def _private(x): return x
def documented(x):
    "old words"
    return x
def rewritten(x): return x + 1
class Model(Base):
    def __init__(self, depth=3): ...
    def fit(self, x, y): ...
    def _inner(self): ...
'''
NEW = '''
"""A module, told anew."""
def kept(x):
    # only a comment
    return x
def fresh(x, *, scale=1): return x
def _private(y): return y
def documented(x):
    "new words"
    return x
def rewritten(x): return x + 2
class Model(Base):
    def __init__(self, depth=3, width=2): ...
    def fit(self, x, y, weights): ...
    def _inner(self, z): ...
'''


def test_the_public_interface_is_compared() -> None:
    found = compare({"m/__init__.py": OLD.encode()}, {"m/__init__.py": NEW.encode()})
    told = {change.name: (change.kinds, change.breaking) for change in found.api}
    assert told == {
        "m.gone": (["removed"], True),
        "m.fresh": (["added"], False),
        "m.documented": (["docstring"], False),
        "m.rewritten": (["code"], False),
        "m.Model.__init__": (["signature"], False),
        "m.Model.fit": (["signature"], True),
    }
    assert found.breaking
    fit = next(change for change in found.api if change.name == "m.Model.fit")
    assert (fit.before, fit.after) == ("def fit(self, x, y)", "def fit(self, x, y, weights)")
    assert [file.change for file in found.files] == ["changed"]
    assert "-def rewritten(x): return x + 1" in (found.files[0].diff or "")


def test_the_same_has_no_difference() -> None:
    found = compare({"a.py": OLD.encode()}, {"a.py": OLD.encode()})
    assert (found.api, found.files, found.breaking, found.faults) == ([], [], False, [])


@pytest.mark.parametrize(
    ("before", "after", "breaking"),
    [
        ("a", "a, b=1", False),
        ("a", "a, b", True),
        ("a", "b", True),
        ("a, b=1", "a", True),
        ("a=1", "a", True),
        ("a", "a=1", False),
        ("a, b", "b, a", True),
        ("a, *, k=1", "a, *, k", True),
        ("a, *, k", "a, *, k=1", False),
        ("a, *, k", "a, k", False),
        ("a, k", "a, *, k", True),
        ("a", "a, *, k", True),
        ("a", "a, *, k=1", False),
        ("a, *rest", "a", True),
        ("a, **rest", "a, *rest", True),
        ("a", "a, /", True),
        ("a", "a, *rest, **more", False),
    ],
)
def test_what_breaks_calls(before: str, after: str, breaking: bool) -> None:
    found = compare({"m.py": f"def f({before}): ...".encode()}, {"m.py": f"def f({after}): ...".encode()})
    assert [change.breaking for change in found.api] == [breaking]


def test_files_that_are_no_text_or_no_python_are_told() -> None:
    found = compare({"x.bin": b"\xff\xfe", "a.py": b"def f(: pass"}, {"x.bin": b"\xff\xff", "b.py": b"\0"})
    assert {(file.path, file.change, file.diff is None) for file in found.files} == {
        ("x.bin", "changed", True),
        ("a.py", "removed", False),
        ("b.py", "added", False),
    }
    assert len(found.faults) == 2
    assert "a.py of the older version" in found.faults[0]


def test_a_long_diff_is_cut() -> None:
    found = compare({"a.sql": b""}, {"a.sql": b"x\n" * 5000})
    assert found.files[0].cut
    assert len((found.files[0].diff or "").splitlines()) == 2000


def test_names_of_modules() -> None:
    assert [module_name(path) for path in ("a.py", "a/__init__.py", "a/b/c.py")] == ["a", "a", "a.b.c"]


def test_decorators_and_conditional_definitions_are_seen() -> None:
    one = public("if True:\n    @cache\n    async def f(x: int) -> str: ...", "m")
    other = public("if True:\n    async def f(x: int) -> str: ...", "m")
    assert one["m.f"].signature == "async def f(x: int) -> str"
    assert one["m.f"].rest != other["m.f"].rest
