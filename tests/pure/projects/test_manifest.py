"""himalia.toml: what is accepted, and how faults are told."""

from __future__ import annotations

import pytest

from himalia_server.projects import ManifestFault, edges, order, parse_manifest, read_manifest, seconds

GOOD = """\
[project]
name = "flights"

[stages.prepare]
notebook = "01.ipynb"
outputs = ["build/a.parquet"]

[stages.train]
notebook = "02.ipynb"
inputs = ["build/a.parquet"]
outputs = ["build/model.json"]
timeout = "30m"
retries = 2

[stages.report]
notebook = "03.ipynb"
after = ["train"]
"""


def test_edges_follow_from_outputs_and_after() -> None:
    manifest = parse_manifest(GOOD)
    assert edges(manifest) == {"prepare": set(), "train": {"prepare"}, "report": {"train"}}
    assert order(manifest) == ["prepare", "train", "report"]


def test_order_does_not_depend_on_the_order_in_the_file() -> None:
    head, prepare, train, report = GOOD.split("\n\n")
    assert order(parse_manifest("\n\n".join([head, report, train, prepare]))) == ["prepare", "train", "report"]


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("[project]\nname = 'x'\n[stages.a]\nnotebok = 'a.ipynb'\n", 4, "stages.a.notebok", "no such key"),
        (
            "[project]\nname = 'x'\n[stages.a]\nnotebook = 'a.ipynb'\nenvironment = 'gpu'\n",
            5,
            "stages.a.environment",
            "there is no [environments.gpu]",
        ),
        ("[project]\nname = 'x'\n[environments.gpu]\nkind = 'isolated'\n", 3, "environments.gpu", "says nothing"),
        ("[project]\nname = 'x'\n[environments.gpu]\nlocks = 'x'\n", 4, "environments.gpu.locks", "no such key"),
        ("[project]\nname = 'x'\n[environments.site]\nlock = 'x'\n", 3, "environments.site", "choose another one"),
        ("[project]\nname = 'x'\n[stages.a]\nparams = {}\n", 3, "stages.a.notebook", "missing"),
        ("[stages.a]\nnotebook = 'a.ipynb'\n", 1, "project", "missing"),
        ("[project]\nname = 'x'\n\n[stages.a]\nnotebook = '/etc/a.ipynb'\n", 5, "stages.a.notebook", "relative path"),
        ("[project]\nname = 'x'\n[stages.a]\nnotebook='a.ipynb'\ninputs=['../b']\n", 5, "stages.a.inputs", "relative"),
        ("[project]\nname = 'x'\n[stages.a]\nnotebook='a.ipynb'\ntimeout = '5 weeks'\n", 5, "stages.a.timeout", "30m"),
        ("[project]\nname = 'x'\n[stages.a]\nnotebook='a.ipynb'\nretries = -1\n", 5, "stages.a.retries", "greater"),
        ("[project]\nname = 'x'\n[stages.A]\nnotebook='a.ipynb'\n", 3, "stages.A", "small letters"),
        ("[project]\nname = 'x'\n[stages.a]\nnotebook='a.ipynb'\nafter=['b']\n", 5, "stages.a.after", "no stage 'b'"),
    ],
)
def test_a_fault_is_told_with_line_and_key(text: str, line: int, key: str, says: str) -> None:
    with pytest.raises(ManifestFault) as caught:
        parse_manifest(text)
    assert f"himalia.toml, line {line}, {key}" in caught.value.detail
    assert says in caught.value.detail


def test_a_misspelt_key_gets_the_nearest_right_one() -> None:
    with pytest.raises(ManifestFault) as caught:
        parse_manifest("[project]\nname = 'x'\n[stages.a]\nnotebok = 'a.ipynb'\nnotebook = 'a.ipynb'\n")
    assert caught.value.hint == "Did you mean 'notebook'?"


def test_broken_toml_names_the_line() -> None:
    with pytest.raises(ManifestFault, match="line 2"):
        parse_manifest("[project]\nname = \n")


def test_only_the_circle_is_named_and_not_who_waits_for_it() -> None:
    stages = "".join(
        f'[stages.{name}]\nnotebook = "{name}.ipynb"\nafter = {after}\n'
        for name, after in (("late", ["b"]), ("free", []), ("a", ["b"]), ("b", ["free", "c"]), ("c", ["a"]))
    )
    with pytest.raises(ManifestFault, match=r"circle: b → c → a → b\b"):
        parse_manifest(f"[project]\nname = 'x'\n{stages}")


def test_a_circle_is_named() -> None:
    text = "[project]\nname='x'\n[stages.a]\nnotebook='a.ipynb'\nafter=['b']\n"
    text += "[stages.b]\nnotebook='b.ipynb'\nafter=['a']\n"
    with pytest.raises(ManifestFault, match="circle: a → b"):
        parse_manifest(text)


def test_two_stages_cannot_write_one_output() -> None:
    text = "[project]\nname='x'\n[stages.a]\nnotebook='a.ipynb'\noutputs=['o']\n"
    with pytest.raises(ManifestFault, match="line 8"):
        parse_manifest(text + "[stages.b]\nnotebook='b.ipynb'\noutputs=['o']\n")


@pytest.mark.parametrize("output", ["books", "books/deep"])
def test_an_output_holds_no_notebook_of_a_stage(output: str) -> None:
    text = f"[project]\nname='x'\n[stages.a]\nnotebook='a.ipynb'\noutputs=['{output}']\n"
    with pytest.raises(ManifestFault, match=r"line 5.*holds the notebook 'books/deep/b.ipynb'"):
        parse_manifest(text + "[stages.b]\nnotebook='books/deep/b.ipynb'\n")
    assert parse_manifest(text + "[stages.b]\nnotebook='book/b.ipynb'\n").stages


def test_an_absent_manifest_says_what_to_write(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ManifestFault, match="does not exist") as caught:
        read_manifest(tmp_path)
    assert "[project]" in (caught.value.hint or "")


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1d", 86400)])
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected
