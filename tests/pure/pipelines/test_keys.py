"""What decides what a stage makes: code without its clothes, modules that are imported, and words for what differs."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia_server.pipelines.keys import NotebookUnfit, Parts, explain, imported, local_modules
from himalia_server.pipelines.keys.code import Code, notebook_code


def book(*sources: str, tags: dict[int, list[str]] | None = None, **metadata: Any) -> bytes:
    cells = [
        {"cell_type": "code", "source": source, "metadata": {"tags": (tags or {}).get(number, [])}, "outputs": []}
        for number, source in enumerate(sources)
    ]
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4}).encode()


def code(*sources: str, **options: Any) -> Code:
    return notebook_code(book(*sources, **options))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("x = 1", "x=1  # a comment"),
        ("x = 1\n\n\ny = 2", "# first\nx = 1\ny = 2\n"),
        ("f(a,\n  b)", "f(a, b)"),
        ('s = "a"', "s = 'a'"),
        ("%matplotlib inline\nx = 1", "%matplotlib inline\nx = 1 # c"),
        ("x = (1)", "x = 1"),
    ],
)
def test_what_only_people_see_does_not_matter(one: str, two: str) -> None:
    assert code(one).cells == code(two).cells


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("s = 'a'", "s = b'a'"),
        ("f(a, b)", "f(b, a)"),
        ("%matplotlib inline", "%matplotlib widget"),
        ("!ls a", "!ls b"),
        ('"""A."""\nx = 1', '"""B."""\nx = 1'),
        ("if a:\n    b\nc", "if a:\n    b\n    c"),
        ("x = 'a # b'", "x = 'a # c'"),
    ],
)
def test_what_a_kernel_sees_matters(one: str, two: str) -> None:
    assert code(one).cells != code(two).cells


def test_cells_that_do_nothing_are_none() -> None:
    found = code("x = 1", "# only a comment", "", "y = 2", "skipped = 1", tags={4: ["skip-execution"]})
    assert found.sources == ("x = 1", "y = 2")
    assert found.numbers == (0, 3)
    assert code("y = 2", "x = 1").cells != code("x = 1", "y = 2").cells


def test_what_papermill_put_in_counts_only_when_it_stays() -> None:
    found = code("a = 1", "a = 2", "print(a)", tags={0: ["parameters"], 1: ["injected-parameters"]})
    assert found.parameters == 0
    assert len(found.meanings(given=False)) == 3
    assert found.meanings(given=True) == (found.cells[0], found.cells[2])


def test_other_languages_are_taken_as_they_are_written() -> None:
    language = {"language_info": {"name": "R"}}
    assert code("x <- 1   \n\n", **language).cells == code("x <- 1", **language).cells
    assert code("x <- 1 # a", **language).cells != code("x <- 1 # b", **language).cells
    # newer Python than ours, or none at all
    assert code("x = = 1").cells != code("x = = 2").cells


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"cells": 3}', b'{"cells": [{}]}', b"\xff\xfe", b"null"])
def test_what_is_no_notebook_is_told(data: bytes) -> None:
    with pytest.raises(NotebookUnfit, match="no notebook"):
        notebook_code(data)


FILES = {
    "src/features/__init__.py": "from .rows import clean",
    "src/features/rows.py": "import tools",
    "src/features/unused.py": "",
    "src/tools.py": "from features import deep as d\nimport os.path",
    "src/features/deep.py": "from . import rows\nfrom .. import beyond",
    "helper.py": "import features.rows",
    "pandas.py": "",
    ".himalia/components/team/lib/shared.py": "",
}


def found_by(source: str) -> list[str]:
    files = {path: f"digest of {path}" for path in FILES}
    trees = {f"digest of {path}": ast.parse(text) for path, text in FILES.items()}
    roots = ["", "src", ".himalia/components/team/lib"]
    found = local_modules(
        imported(ast.parse(source)), files, roots, lambda digest, package: imported(trees[digest], package)
    )
    assert all(digest == f"digest of {path}" for path, digest in found.items())
    return list(found)


def test_modules_are_found_through_others_and_the_rest_is_left() -> None:
    package = ["src/features/__init__.py", "src/features/deep.py", "src/features/rows.py", "src/tools.py"]
    assert found_by("import helper") == ["helper.py", *package]
    assert found_by("from features import rows") == package
    assert found_by("import numpy, os") == []
    assert found_by("from features.unused import x")[-2:] == ["src/features/unused.py", "src/tools.py"]
    assert found_by("import pandas as pd\nimport shared") == [".himalia/components/team/lib/shared.py", "pandas.py"]
    assert found_by("def f():\n    if 1:\n        import helper")[0] == "helper.py"


PARTS = Parts(("a", "b", "c"), {"n": 1}, {"data.csv": "sha256:1"}, {"src/m.py": "sha256:2"}, "env", "python", ("out",))


def test_each_part_counts_and_is_told() -> None:
    def told(**changes: Any) -> list[str]:
        other = Parts.load(json.dumps(json.loads(PARTS.dump()) | changes).encode())
        assert other.key != PARTS.key
        assert Parts.load(other.dump()) == other
        return [change.text for change in explain(PARTS, other)]

    assert told(cells=["a", "x", "c"]) == ["code cell 2 changed"]
    assert told(cells=["a", "b", "c", "d"]) == ["code cell 4 is new"]
    assert told(cells=["a", "c"]) == ["code cell 2 was removed"]
    assert told(cells=["c", "a", "b"]) == ["code cell 1 is new", "code cell 3 was removed"]
    assert told(parameters={"n": 1.0}) == ["the parameter n changed: 1 → 1.0"]
    assert told(parameters={"n": 1, "m": "x"}) == ['the parameter m is given now: "x"']
    assert told(parameters={}) == ["the parameter n is no longer given"]
    assert told(inputs={"data.csv": "sha256:9"}) == ["the input data.csv changed"]
    assert told(modules={}) == ["the module src/m.py is no longer used"]
    assert told(environment="other") == ["the environment's packages changed"]
    assert told(kernel="r") == ["the kernel changed: python → r"]
    assert told(outputs=["out", "more"]) == ["other outputs are declared"]
    assert told(engine="2") == ["Himalia itself executes stages in another way now"]
    same = Parts.load(json.dumps(json.loads(PARTS.dump()) | {"notebook": "sha256:3"}).encode())
    assert (same.key, explain(PARTS, same)) == (PARTS.key, [])


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"cells": [], "more": 1}'])
def test_what_are_no_parts_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Parts.load(data)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), plain), st.dictionaries(st.text(), plain))
def test_parameters_have_the_same_key_when_they_are_the_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    first, second = Parts((), one), Parts((), two)
    assert (first.key == second.key) == (repr(sorted(one.items())) == repr(sorted(two.items())))
    assert bool(explain(first, second)) == (first.key != second.key)
