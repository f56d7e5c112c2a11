"""What the parameters cell says of itself: for forms, and where a value keeps what follows from a default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import papermill
import pytest

from himalia_kernels.describing import derived_values, describe_parameters
from tests.pure.kernels.test_parameters import notebook

CELL = """
%matplotlib inline
months = 3  # how many months
rate: float = 0.1  # learning rate
name = 'a#b'
kind: Literal["tree", "linear"] = "tree"
sizes: list[int] = [1, 2]  # layers
since = None
flag = True
old = 7  # type: int  of the past
when = today()
either: int | None = None
mapping = {"a": 1}
"""


def test_descriptions() -> None:
    found = {one.name: one for one in describe_parameters(notebook(CELL))}
    assert {name: one.type for name, one in found.items()} == {
        "months": "number",
        "rate": "number",
        "name": "text",
        "kind": "one of 'tree', 'linear'",
        "sizes": "list of whole numbers",
        "since": "anything",
        "flag": "truth value",
        "old": "whole number",
        "when": "anything",
        "either": "whole number or nothing",
        "mapping": "dictionary",
    }
    assert (found["months"].help, found["months"].default, found["months"].value) == ("how many months", "3", 3)
    assert (found["name"].default, found["name"].help) == ("'a#b'", "")
    assert (found["kind"].choices, found["kind"].annotation) == (("tree", "linear"), "Literal['tree', 'linear']")
    assert (found["when"].default, found["when"].literal, found["when"].value) == ("today()", False, None)
    assert found["since"].literal
    assert found["old"].help == "of the past"


def test_no_parameters_cell_and_a_name_set_twice() -> None:
    assert describe_parameters({"cells": []}) == []
    (one,) = describe_parameters(notebook("a = 1\na = 'b'"))
    assert (one.default, one.type) == ("'b'", "text")


def test_papermill_describes_the_same(tmp_path: Path) -> None:
    source = "a = 1\nb: float = 2.5  # help\nc = 'text'  # more help\nd = [1,\n 2]\ne = 3  # type: int a count"
    made = notebook(source)
    made["metadata"]["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python"}
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(made))
    theirs = papermill.inspect_notebook(path)
    ours = {one.name: one for one in describe_parameters(path)}
    assert list(ours) == list(theirs)
    for name, said in theirs.items():
        assert ours[name].help == said["help"], name
        if name != "d":  # papermill reads a line at a time
            assert ours[name].default == said["default"], name
        # papermill's inferred type is the annotation, or the comment
        assert (ours[name].annotation or "None") == said["inferred_type_name"], name


@pytest.mark.parametrize(
    ("source", "given", "expected"),
    [
        ("a = 1\ntwice = a * 2", {"a": 5}, [("twice", "a", 2)]),
        ("a = 1\ntwice = a * 2", {"a": 1}, []),  # as it is by default
        ("a = 1\ntwice = a * 2", {"a": True}, [("twice", "a", 2)]),
        ("a = 1\ntwice = a * 2", {"a": 5, "twice": 10}, []),
        ("a = 1\ntwice = a * 2", {}, []),
        ("a = 1\nb = a\nc = f'{b}.csv'", {"a": 5}, [("b", "a", 2), ("c", "a", 3)]),
        ("a = today()\nb = a", {"a": 5}, [("b", "a", 2)]),
        ("a = (1, 2)\nb = a", {"a": [1, 2]}, []),
        ("a = 1\nif a > 3:\n    mode = 'x'", {"a": 5}, [("mode", "a", 3)]),
        ("a = 1\nfor n in range(a):\n    last = n", {"a": 5}, [("n", "a", 2), ("last", "a", 3)]),
        ("a = 1\nb = 2\nb += a", {"a": 5}, [("b", "a", 3)]),
        ("a = 1\nb = a\nb = 3", {"a": 5}, [("b", "a", 2)]),
        ("a = 1\nf = lambda: a", {"a": 5}, []),  # looked up when it is called
        ("a = 1\nf = lambda n=a: n", {"a": 5}, [("f", "a", 2)]),
        ("a = 1\ndef f():\n    return a", {"a": 5}, []),
        ("a = 1\nb: int = a", {"a": 5}, [("b", "a", 2)]),
        ("a = 1\nx, y = a, 2", {"a": 5}, [("x", "a", 2), ("y", "a", 2)]),
        ("b = a\na = 1", {"a": 5}, []),  # fails by itself
        ("%matplotlib inline\na = 1\nb = [n * a for n in (1, 2)]", {"a": 5}, [("b", "a", 3)]),
        ("with open('x') as file:\n    b = 1\na = 1", {"a": 5}, []),
    ],
)
def test_values_that_keep_what_follows_from_a_default(
    source: str, given: dict[str, Any], expected: list[tuple[str, str, int]]
) -> None:
    found = derived_values(notebook(source), given)
    assert [(one.name, one.depends_on, one.line) for one in found] == expected


def test_the_warning_says_what_to_do() -> None:
    (warning,) = derived_values(notebook("a = 1\ntwice = a * 2"), {"a": 5})
    assert str(warning) == (
        "Line 2 of the parameters cell computes 'twice' from 'a'; the value given for 'a' is set after that cell, so "
        "'twice' keeps what follows from the default. Move the line that computes 'twice' into the next cell."
    )
