"""Why a cell differs: what is told, of which cell, and how sure it is."""

from __future__ import annotations

from typing import Any

import pytest

from himalia_server.verifications.causes import (
    Cause,
    Observation,
    find_causes,
    needs_second_run,
    read_cell,
    read_cells,
    slice_of,
    unsteady_cells,
)
from himalia_server.verifications.compare import compare_notebooks
from tests.pure.verifications.books import book, cell, error, stream

Row = tuple[str, str, str, int | None]
"""Source, what was saved, what is shown now, execution count."""


def causes(*rows: Row | tuple[str, dict[str, Any], dict[str, Any], int | None], **seen: Any) -> list[Cause]:
    """Of a notebook of *rows*; an output that is a text is printed."""

    def outputs(value: Any) -> list[dict[str, Any]]:
        return [value] if isinstance(value, dict) else [stream(value)] if value else []

    saved = book(*(cell(source, *outputs(before), count=count) for source, before, _, count in rows))
    now = book(*(cell(source, *outputs(after), count=number) for number, (source, _, after, _) in enumerate(rows, 1)))
    return find_causes(saved, compare_notebooks(saved, now), Observation(**seen))


def test_what_cells_need_and_give() -> None:
    code = read_cell(1, 1, "import numpy as np\nx = y + 1\nz[0] = x\nframe.sort()\ndef f(a): return a + later\nn += 1")
    assert code.needs == {"y", "z", "frame", "n"}
    assert code.late == {"later"}
    assert code.gives == {"np", "x", "z", "frame", "f", "n"}
    assert code.binds == {"np", "x", "f", "n"}
    assert code.repeats == {"z", "frame", "n"}
    assert code.imports == {"np": "numpy"}


def test_magics_and_other_languages() -> None:
    assert read_cell(1, 1, "%matplotlib inline\nx = y").needs == {"y"}
    assert read_cell(1, 1, "%%time\nx = y").needs == {"y"}
    assert read_cell(1, 1, "!ls\nfiles = !ls").gives == {"files"}
    assert read_cell(1, 1, "%%bash\nx = y").tree is None
    assert read_cell(1, 1, "[a for a in items if a in {c for c in other}]").needs == {"items", "other"}


def test_a_slice_holds_what_a_cell_depends_on() -> None:
    sources = ["a = 1", "b = 2", "a = 3", "a.append(4)", "def f(): return b", "print(a, f())"]
    cells = [read_cell(number, number, source) for number, source in enumerate(sources, 1)]
    assert [one.number for one in slice_of(cells, cells[5])] == [2, 3, 4, 5, 6]
    assert [one.number for one in slice_of(cells, cells[3])] == [3, 4]


# --- names and order


def test_a_name_that_a_later_cell_defines() -> None:
    found = causes(("print(x)", "5", error("NameError", "name 'x' is not defined"), 2), ("x = 5", "", "", 1))
    assert [(one.kind, one.certainty, one.cell) for one in found] == [("execution_order", "sure", 2)]
    assert "only cell 2, below it, defines" in found[0].evidence
    assert "Move cell 2 above cell 1" in found[0].advice


def test_a_name_that_no_cell_defines() -> None:
    (found,) = causes(("y = 1", "", "", 2), ("print(x)", "5", error("NameError", "name 'x' is not defined"), 3))
    assert (found.kind, found.certainty, found.cell) == ("undefined_name", "sure", 2)
    assert "no cell defines it" in found.evidence
    assert "[1] is on no cell any more" in found.evidence


def test_cells_that_were_run_out_of_order() -> None:
    found = causes(("x = 1", "", "", 1), ("x = x + 1", "", "", 3), ("print(x)", "1", "2", 2), unsteady=frozenset())
    assert (found[0].kind, found[0].certainty, found[0].cell) == ("execution_order", "likely", 2)
    assert "[3] and [2]" in found[0].evidence
    assert "about x" in found[0].evidence


def test_a_cell_that_was_run_twice() -> None:
    found = causes(("x = 1", "", "", 1), ("x += 1", "", "", 3), ("print(x)", "3", "2", 4), unsteady=frozenset())
    assert (found[0].kind, found[0].certainty, found[0].cell) == ("hidden_state", "likely", 2)
    assert "changes x each time" in found[0].evidence
    assert "[2] is on no cell any more" in found[0].evidence


def test_an_output_that_nothing_explains_is_told_so() -> None:
    (found,) = causes(("x = 1", "", "", 1), ("print(x)", "3", "1", 2), unsteady=frozenset())
    assert (found.kind, found.certainty) == ("unknown", "possible")
    assert "Two clean runs agree" in found.evidence


# --- what no run repeats

UNSTEADY = {
    "randomness": [
        "import random\nprint(random.random())",
        "import numpy as np\nprint(np.random.rand(3))",
        "from numpy.random import default_rng\nprint(default_rng().normal())",
        "from sklearn.model_selection import train_test_split\nprint(train_test_split(range(9)))",
        "from sklearn.ensemble import RandomForestClassifier as R\nm = R(n_estimators=3)\nprint(m)",
        "from sklearn.model_selection import KFold\nprint(KFold(5, shuffle=True))",
        "from sklearn.datasets import make_blobs\nprint(make_blobs())",
        "from sklearn.dummy import DummyClassifier\nprint(DummyClassifier(strategy='uniform').fit(x, y))",
        "print(frame.sample(3))",
        "print(frame.sample(frac=0.5, random_state=None))",
        "import torch\nprint(torch.randn(3))",
        "import scipy.stats\nprint(scipy.stats.norm.rvs(3))",
        "import uuid\nprint(uuid.uuid4())",
        "from hyperopt import fmin\nprint(fmin(f, space))",
    ],
    "wall_clock": [
        "import datetime\nprint(datetime.datetime.now())",
        "from datetime import date\nprint(date.today())",
        "import time\nprint(time.time())",
        "import pandas as pd\nprint(pd.Timestamp.now())",
        "import pandas as pd\nprint(pd.to_datetime('today'))",
        "import time\nprint(time.strftime('%H'))",
        "%time f()",
    ],
    "registry": [
        "import mlflow\nprint(mlflow.sklearn.log_model(m, registered_model_name='m').registered_model_version)",
        "import mlflow\nprint(mlflow.register_model(uri, 'm').version)",
    ],
    "completion_order": ["from distributed import as_completed\nprint([f.key for f in as_completed(fs)])"],
    "network": ["import pandas as pd\nprint(pd.read_csv('https://example.org/x.csv'))"],
}
SEEDED = [
    "import random\nrandom.seed(1)\nprint(random.random())",
    "import numpy as np\nnp.random.seed(1)\nprint(np.random.rand(3))",
    "import numpy as np\nrng = np.random.default_rng(1)\nprint(rng.normal())",
    "from sklearn.model_selection import train_test_split\nprint(train_test_split(range(9), random_state=1))",
    "from sklearn.model_selection import KFold\nprint(KFold(5))",
    "from sklearn.pipeline import make_pipeline\nprint(make_pipeline(model))",
    "from sklearn.compose import make_column_transformer as m\nprint(m((model, columns)))",
    "from sklearn.dummy import DummyClassifier\nprint(DummyClassifier(strategy='prior').fit(x, y))",
    "print(frame.sample(3, random_state=1))",
    "import numpy as np\nnp.random.seed(1)\nprint(frame.sample(3))",
    "import datetime\nprint(datetime.datetime(2026, 1, 1))",
    "import time\nprint(time.strftime('%H', moment))",
    "print(sorted({1, 2}), len({1, 2}), x in {1, 2})",
    "import pandas as pd\nprint(pd.read_csv('data.csv'))",
]


@pytest.mark.parametrize(("kind", "source"), [(kind, source) for kind, all_ in UNSTEADY.items() for source in all_])
def test_what_differs_between_two_clean_runs_is_told_by_its_call(kind: str, source: str) -> None:
    found = causes((source, "1.5", "2.5", 1), unsteady=frozenset({1}))
    assert (found[0].kind, found[0].certainty, found[0].cell) == (kind, "sure", 1)
    assert "two clean runs of cell 1 differ" in found[0].evidence
    assert found[0].advice


@pytest.mark.parametrize("source", SEEDED)
def test_what_is_seeded_or_fixed_is_not_accused(source: str) -> None:
    found = causes((source, "1.5", "2.5", 1), unsteady=frozenset({1}))
    assert [one.kind for one in found] == ["nondeterminism"]


ORDERED = "a: loss 0.5 after 3.1 s\nb: loss 0.4 after 12.8 s\n"
REORDERED = "b: loss 0.4 after 4.2 s\na: loss 0.5 after 13.0 s\n"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("from distributed import as_completed\nimport random\nfor f in as_completed(fs):\n    print(f.result())",
         "completion_order"),
        ("import os, random\nfor f in os.listdir('.'):\n    print(f)\nrandom.random()", "file_order"),
        ("for f in fs:\n    print(f)", "set_order"),
    ],
)  # fmt: skip
def test_the_same_lines_in_another_order_are_told_by_what_orders_them(source: str, kind: str) -> None:
    """Also when each line holds how long it took."""
    found = causes((source, ORDERED, REORDERED, 1), unsteady=frozenset({1}))
    assert found[0].kind == kind
    assert found[0].certainty == ("likely" if kind == "set_order" else "sure")


def test_without_a_second_run_chance_is_only_likely() -> None:
    found = causes(("import random\nprint(random.random())", "1.5", "2.5", 1))
    assert (found[0].kind, found[0].certainty) == ("randomness", "likely")


def test_two_clean_runs_that_agree_acquit_chance() -> None:
    found = causes(("import random\nprint(random.random())", "1.5", "2.5", 1), unsteady=frozenset())
    assert "randomness" not in [one.kind for one in found]


def test_a_version_of_a_model_differs_although_clean_runs_agree() -> None:
    """Each of them registers it where nobody else sees it."""
    source = "import mlflow\nprint(mlflow.register_model(uri, 'm').version)"
    found = causes((source, "7", "1", 1), unsteady=frozenset())
    assert (found[0].kind, found[0].certainty) == ("registry", "likely")


def test_the_call_is_found_in_a_cell_above_and_one_that_does_not_matter_is_not() -> None:
    found = causes(
        ("import numpy as np, time", "", "", 1),
        ("data = np.random.rand(5)", "", "", 2),
        ("start = time.time()", "", "", 3),
        ("print(data.mean())", "0.1", "0.9", 4),
        unsteady=frozenset({4}),
    )
    assert [(one.kind, one.cell) for one in found] == [("randomness", 2)]


def test_the_order_of_a_set_is_told_by_the_words() -> None:
    source = "names = {'ab', 'cd', 'ef'}\nprint(list(names))"
    found = causes((source, "['ab', 'cd', 'ef']", "['ef', 'ab', 'cd']", 1), unsteady=frozenset({1}))
    assert (found[0].kind, found[0].certainty) == ("set_order", "sure")
    unknown = causes(("print(words())", "b a", "a b", 1), unsteady=frozenset({1}))
    assert unknown[0].kind == "set_order"


# --- what was there


def test_a_file_that_changed() -> None:
    found = causes(
        ("import pandas as pd", "", "", 1),
        ("data = pd.read_csv('data/in.csv')", "", "", 2),
        ("print(len(data))", "3", "4", 3),
        unsteady=frozenset(),
        changed_files={"data/in.csv": "is newer than the notebook", "other.csv": "is newer than the notebook"},
    )
    assert [(one.kind, one.certainty, one.cell) for one in found] == [
        ("changed_file", "likely", 2),
        ("changed_file", "possible", None),
    ]
    assert "data/in.csv, which cell 2 reads, is newer" in found[0].evidence


def test_other_errors_and_versions() -> None:
    (file,) = causes(("open('x')", "1", error("FileNotFoundError", "No such file: 'x'"), 1))
    assert (file.kind, file.certainty) == ("missing_file", "sure")
    (module,) = causes(("import x", "1", error("ModuleNotFoundError", "No module named 'x'"), 1))
    assert module.kind == "environment"
    network = causes(("fetch()", "1", error("URLError", "Name or service not known"), 1))
    assert network[0].kind == "network"
    version = causes(("print(1)", "1", "2", 1), versions=[("Python", "3.11.2", "3.12.1")])
    assert "Python 3.11.2 was used when it was saved, 3.12.1 now" in version[0].evidence
    other = causes(("print(1 / zero)", "1", error("ZeroDivisionError", "division by zero"), 1))
    assert "fails now: ZeroDivisionError" in other[0].evidence


def test_when_a_second_run_is_worth_its_time() -> None:
    same = book(cell("1", stream("1")))
    assert not needs_second_run(same, compare_notebooks(same, same))
    other = book(cell("1", stream("2")))
    assert needs_second_run(same, compare_notebooks(same, other))
    missing = book(cell("1", error("NameError", "name 'x' is not defined")))
    assert not needs_second_run(same, compare_notebooks(same, missing))
    assert unsteady_cells(compare_notebooks(same, other)) == {1}
    assert find_causes(same, compare_notebooks(same, same)) == []
    assert [code.number for code in read_cells(same)] == [1]
