"""Parameters are checked before a stage starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook, writes

from himalia_kernels.parameters import NotebookUnreadableError, check_parameters, parameters_source


def notebook(source: str) -> dict[str, Any]:
    tagged = new_code_cell(source, metadata={"tags": ["parameters"]})
    made: dict[str, Any] = json.loads(writes(new_notebook(cells=[new_code_cell("x = 0"), tagged])))
    return made


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("x = 1", 2),
        ("x = 1", 2.5),
        ("x = 1.5", 2),
        ("x = 'a'", "b"),
        ("x = None", [1]),
        ("x = 'a'", None),
        ("x = (1, 2)", [3]),
        ("x = dict(a=1)", {"a": 2}),
        ("x = {'a': 1}", {"b": 2}),
        ("x: float = 1.0", 2),
        ("x: 'int | None' = None", None),
        ("x: Optional[int] = None", 3),
        ("x: list[int] = []", [1, 2]),
        ("x: dict[str, list[float]] = {}", {"a": [1, 2.5]}),
        ("x: Literal['a', 'b'] = 'a'", "b"),
        ("x: typing.Union[int, str] = 1", "b"),
        ("x: Something = None", 3),
        ("x = 3  # type: int", 4),
        ("x = today()", "2030-01-01"),
        ("a, x = 1, 'b'", "c"),
        ("%matplotlib inline\n!ls\nx = 1", 2),
        ("x: Path = Path('a')", "b"),
    ],
)
def test_accepted(source: str, value: Any) -> None:
    assert check_parameters(notebook(source), {"x": value}) == []


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("x = 1", "2"),
        ("x = 1", True),
        ("x = True", 1),
        ("x = 'a'", 1),
        ("x = [1]", 3),
        ("x = [1]", {"a": 1}),
        ("x: int = 1", 2.5),
        ("x: int = 1", True),
        ("x: int = 1", None),
        ("x: bool = True", 0),
        ("x: list[int] = []", ["a"]),
        ("x: dict[str, int] = {}", {"a": "b"}),
        ("x: Literal['a', 'b'] = 'a'", "c"),
        ("x: int | None = None", "a"),
        ("x = 3  # type: int", "a"),
        ("a, x = 1, 'b'", 2),
    ],
)
def test_refused(source: str, value: Any) -> None:
    (problem,) = check_parameters(notebook(source), {"x": value})
    assert problem.name == "x"
    assert "'x'" in problem.message


def test_unknown_names_get_the_nearest() -> None:
    made = notebook("months = [1]\nseed = 7")
    assert str(check_parameters(made, {"month": [1]})[0]).endswith("Did you mean 'months'?")
    assert str(check_parameters(made, {"zzz": 1})[0]).endswith("It has months, seed.")
    # a name is pasted into code, so that nothing but a known one may pass
    assert len(check_parameters(made, {"seed = 1; import os; x": 1})) == 1


def test_no_cell_is_tagged() -> None:
    made = json.loads(writes(new_notebook(cells=[new_code_cell("x = 1")])))
    assert "no cell tagged" in check_parameters(made, {"x": 1})[0].message
    assert check_parameters(made, {}) == []


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook("x = 1")))
    assert check_parameters(path, {"x": 2}) == []
    path.write_text("{")
    with pytest.raises(NotebookUnreadableError, match=r"a\.ipynb"):
        check_parameters(path, {"x": 2})
    with pytest.raises(NotebookUnreadableError, match="line 1"):
        check_parameters(notebook("x = = 1"), {"x": 2})


def test_papermill_finds_the_same_names(tmp_path: Path) -> None:
    source = "a = 1\nb: float = 2.0  # help\nc = 'text'\nd = [1,\n 2]"
    made = notebook(source)
    made["metadata"]["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python"}
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(made))
    found = papermill.inspect_notebook(path)
    assert parameters_source(path) == source
    assert all(check_parameters(path, {name: None}) == [] for name in found if name != "b")
    assert check_parameters(path, {"b": "text"})
    assert found["b"]["inferred_type_name"] == "float"
