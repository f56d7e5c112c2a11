"""Which files a notebook reads, and what is kept of a judgement."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from himalia_server.service.problems import Invalid
from himalia_server.verifications.causes import read_cell
from himalia_server.verifications.compare import Tolerance, Verdict
from himalia_server.verifications.inputs import inputs_of, missing_in
from himalia_server.verifications.judging import (
    ALL_MOST,
    TEXT_MOST,
    Budget,
    bounded,
    document,
    judge,
    label_of,
    summary,
)
from himalia_server.verifications.reading import check_book, read_book, require_notebook
from tests.pure.verifications.books import book, cell, error, result, shows, stream


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project's folder with data."""
    for name in ("data/in.csv", "data/deep/other.csv", "sub/near.csv", "price/x.csv", ".git/config", "top.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path.parent / "outside.csv").write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "notebook", "found"),
    [
        ("pd.read_csv('data/in.csv')", "a.ipynb", ["data/in.csv"]),
        ("x = 'top.parquet'", "a.ipynb", ["top.parquet"]),
        ("open('near.csv')", "sub/a.ipynb", ["sub/near.csv"]),
        ("open('../data/in.csv')", "sub/a.ipynb", ["data/in.csv"]),
        ("open('data/in.csv')", "sub/a.ipynb", ["data/in.csv"]),
        ("Path('data') / 'in.csv'", "a.ipynb", ["data"]),
        ("frame['price'].mean()", "a.ipynb", []),
        ("os.listdir('price')", "a.ipynb", ["price"]),
        ("glob('data/*.csv')", "a.ipynb", ["data/in.csv"]),
        ("glob('data/**/*.csv', recursive=True)", "a.ipynb", ["data/deep/other.csv", "data/in.csv"]),
        ("open(f'data/deep/{name}.csv')", "a.ipynb", ["data/deep"]),
        ("open('../outside.csv')", "a.ipynb", []),
        ("open('/etc/passwd'); open('.git/config'); open('.'); open('https://x.org/data/in.csv')", "a.ipynb", []),
        ("open('data/in.csv'); os.listdir('data/')", "a.ipynb", ["data"]),
        ("%%bash\ncat data/in.csv", "a.ipynb", []),
        ("'\\0'; '*' * 3; '['; 'x' * 500", "a.ipynb", []),
    ],
)
def test_files_that_the_code_names(folder: Path, source: str, notebook: str, found: list[str]) -> None:
    assert inputs_of(folder, notebook, [read_cell(1, 1, source)]) == found


def test_a_file_by_its_whole_path(folder: Path) -> None:
    assert inputs_of(folder, "a.ipynb", [read_cell(1, 1, f"open('{folder}/data/in.csv')")]) == ["data/in.csv"]


def test_a_link_that_leads_out_of_the_project_is_no_input(folder: Path) -> None:
    (folder / "link.csv").symlink_to(folder.parent / "outside.csv")
    assert inputs_of(folder, "a.ipynb", [read_cell(1, 1, "open('link.csv')")]) == []


@pytest.mark.parametrize(
    "text",
    [
        "[Errno 2] No such file or directory: 'data/in.csv'",
        "[Errno 2] No such file or directory: '/site/runs/1/notebook/work/data/in.csv'",
        "No such file or directory (os error 2): data/in.csv",
        "Unable to open file (name = 'data/in.csv', errno = 2)",
        'IO Error: No files found that match the pattern "data/in.csv"',
    ],
)
def test_files_that_an_error_names(folder: Path, text: str) -> None:
    assert missing_in(folder, "a.ipynb", text, ["/site/runs/1/notebook/work"]) == ["data/in.csv"]
    assert missing_in(folder, "a.ipynb", "name 'x' is not defined", []) == []


# --- what is kept


def test_outputs_are_kept_bounded_and_without_scripts() -> None:
    outputs: list[dict[str, Any]] = [
        stream("x" * (TEXT_MOST + 5)),
        result({"text/html": "<b>1</b><script>alert(1)</script>", "application/javascript": "alert(2)"}),
        result({"image/png": "A" * 2_000_000, "text/plain": ["a\n", "b"]}),
        error("ValueError", "no"),
    ]
    kept = bounded(outputs, Budget(ALL_MOST))
    assert len(kept[0]["text"]) == TEXT_MOST
    assert "5 of 20,005 characters are left out" in kept[0]["cut"]
    assert kept[1]["data"] == {"text/html": "<b>1</b>"}
    assert "scripts are left out" in kept[1]["cut"]
    assert kept[2]["data"] == {"text/plain": "a\nb"}
    assert (kept[3]["name"], kept[3]["text"]) == ("ValueError", "no")
    assert bounded([stream("abc")], Budget(2))[0]["text"] == "ab"


def test_the_document_holds_outputs_of_what_differs_only() -> None:
    saved, now = shows("same", "old"), shows("same", "new")
    found = judge(saved, now, tolerance=Tolerance(), second=shows("same", "newer"))
    kept = json.loads(json.dumps(document(found)))
    assert (kept["cells"][0]["saved"], kept["cells"][0]["now"]) == ([], [])
    assert [kept["cells"][1][side][0]["text"] for side in ("saved", "now", "second")] == ["old", "new", "newer"]
    told = summary(found)
    assert (told["first"]["number"], told["nondeterministic"], told["counts"]) == (
        2,
        True,
        {"identical": 1, "differs": 1},
    )
    assert summary(judge(saved, now, tolerance=Tolerance()))["nondeterministic"] is None


def test_an_output_that_was_cut_is_not_comparable() -> None:
    found = judge(shows("long"), shows("lo"), tolerance=Tolerance(), cut=frozenset({0}))
    assert found.verdict is Verdict.NOT_COMPARABLE
    assert "cut" in found.comparison.cells[0].notes[0]


def test_folders_that_mean_the_same() -> None:
    saved, now = shows("/home/me/project/data"), shows("/site/work/data")
    assert (
        judge(saved, now, tolerance=Tolerance(), places=["/home/me/project", "/site/work"]).verdict is Verdict.IDENTICAL
    )
    assert judge(saved, now, tolerance=Tolerance()).verdict is Verdict.DIFFERS


def test_a_label_is_the_first_line_of_code() -> None:
    assert label_of("# about\n\nx = 1\ny") == "x = 1"
    assert label_of("") == ""


# --- what is refused


def test_what_is_no_notebook_is_refused(tmp_path: Path) -> None:
    for data in (
        "{",
        "[]",
        "{}",
        '{"nbformat": 4}',
        '{"nbformat": 4, "cells": [1]}',
        '{"nbformat": 4, "cells": [{"outputs": [1]}]}',
        '{"nbformat": 4, "cells": [{"outputs": [{"data": 1}]}]}',
        '{"nbformat": 4, "cells": [{"execution_count": "x"}]}',
        '{"nbformat": 2}',
    ):
        with pytest.raises(Invalid, match="not a notebook that can be read"):
            read_book(data.encode(), "a.ipynb")
    (tmp_path / "a.ipynb").write_text(json.dumps({**shows("1"), "metadata": {}}))
    assert require_notebook(tmp_path, "a.ipynb")["cells"]
    with pytest.raises(Invalid, match="no file b"):
        require_notebook(tmp_path, "b.ipynb")
    (tmp_path / "c.ipynb").symlink_to("/etc/hostname")
    with pytest.raises(Invalid, match="leads out of the project"):
        require_notebook(tmp_path, "c.ipynb")


def test_an_older_format_and_texts_in_lines_are_read() -> None:
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [
            {
                "metadata": {},
                "cells": [
                    {
                        "cell_type": "code",
                        "input": ["x = 1\n", "x"],
                        "language": "python",
                        "metadata": {},
                        "collapsed": False,
                        "prompt_number": 1,
                        "outputs": [{"output_type": "stream", "stream": "stdout", "text": ["1\n"]}],
                    }
                ],
            }
        ],
    }
    made = read_book(json.dumps(old).encode(), "a.ipynb")
    assert (made["cells"][0]["source"], made["cells"][0]["execution_count"]) == ("x = 1\nx", 1)
    lines = book({**cell("", stream("1")), "source": ["x\n", "y"]})
    assert read_book(json.dumps(lines).encode(), "a.ipynb")["cells"][0]["source"] == "x\ny"


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (book(cell("1", count=None)), "no saved outputs"),
        (book(cell("1", stream("1")), language_info={"name": "R"}), "written in R"),
        (book(cell("1", stream("1")), himalia={"verify": {"rtol": 7}}), "from 0 to 1"),
        (book(cell("1", stream("1"), metadata={"himalia": {"verify": {"x": 1}}})), "metadata of cell 1"),
    ],
)
def test_what_cannot_be_verified_is_refused(made: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        check_book(made, "a.ipynb")


def test_images_are_kept_as_they_are() -> None:
    data = base64.b64encode(b"png").decode()
    assert bounded([result({"image/png": data})], Budget(100))[0]["data"] == {"image/png": data}
