"""All faults at once, what an editor is offered, edits that keep comments, and the published schema."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from himalia_server.cli.project_check import check as check_command
from himalia_server.projects import ManifestFault, check_folder, parse_manifest, schema_text
from himalia_server.projects.manifest.checks import check_text, digest_of_text
from himalia_server.projects.manifest.completing import complete
from himalia_server.projects.manifest.editing import edit_text, write_text
from himalia_server.projects.manifest.models import ManifestEdit
from himalia_server.projects.manifest.schema import FILE, manifest_schema
from himalia_server.projects.manifest.tables import Manifest
from himalia_server.projects.manifest.toml_text import spots
from himalia_server.service.problems import Conflict, Invalid

BAD = """\
[project]
nam = "x"
[environment]
kind = "overlai"
requirement = "x"
[stages.a]
notebok = "a.ipynb"
timeout = "5 weeks"
[stages.b]
notebook = "b.ipynb"
after = ["a", "c"]
retries = "x"
inputs = [
  "../up",
  "fine.csv",
  "/etc/passwd",
]
"""


def test_all_faults_are_told_at_once_each_with_its_place() -> None:
    found = {(p.line, p.column, p.key): p for p in check_text(BAD)}
    places = [
        (1, 1, "project.name"),
        (2, 1, "project.nam"),
        (4, 1, "environment.kind"),
        (5, 1, "environment.requirement"),
        (6, 1, "stages.a.notebook"),
        (7, 1, "stages.a.notebok"),
        (8, 1, "stages.a.timeout"),
        (11, 15, "stages.b.after.1"),
        (12, 1, "stages.b.retries"),
        (14, 3, "stages.b.inputs.0"),
        (16, 3, "stages.b.inputs.2"),
    ]
    assert list(found) == places
    assert found[2, 1, "project.nam"].hint == "Did you mean 'name'?"
    assert found[4, 1, "environment.kind"].hint == "Did you mean 'overlay'?"
    assert found[5, 1, "environment.requirement"].hint == "Did you mean 'requirements'?"
    assert (found[7, 1, "stages.a.notebok"].end_column, found[7, 1, "stages.a.notebok"].severity) == (8, "error")
    # a stage whose table has a fault is not told to be missing, and makes no circle
    assert "'a'" not in " ".join(problem.message for problem in found.values())


def test_broken_toml_is_one_problem_with_its_place() -> None:
    (problem,) = check_text('[project]\nname = "x"\nx = \n')
    assert (problem.line, problem.column, problem.key, problem.severity) == (3, 5, "", "error")
    assert [p.line for p in check_text("[a]\nb = 1\n[a]\n")] == [3]


def notebook(path: Path, *tags: str) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("seed: int = 1", metadata={"tags": list(tags)})])
    nbformat.write(book, path)


def test_files_clusters_and_parameters_are_compared(tmp_path: Path) -> None:
    notebook(tmp_path / "train.ipynb", "parameters")
    notebook(tmp_path / "plain.ipynb")
    (tmp_path / "flights.csv").write_text("")
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "himalia.toml").write_text(
        """\
[project]
name = "x"
[environment]
requirements = "requirement.txt"
[stages.train]
notebook = "trian.ipynb"
inputs = ["fligths.csv"]
outputs = ["build/m.json", "build/never.json"]
cluster = "locla"
[stages.plain]
notebook = "plain.ipynb"
params = { seed = 1 }
inputs = ["build/m.json"]
[stages.typed]
notebook = "train.ipynb"
params = { sed = 1 }
"""
    )
    found = check_folder(tmp_path, ["local"])
    told = {problem.key: (problem.severity, problem.message, problem.hint) for problem in found.items}
    assert told["environment.requirements"][2] == "Did you mean 'requirements.txt'?"
    assert told["stages.train.notebook"][2] == "Did you mean 'train.ipynb'?"
    assert told["stages.train.inputs.0"][2] == "Did you mean 'flights.csv'?"
    assert told["stages.train.cluster"] == ("warning", "no cluster 'locla' runs", "Did you mean 'local'?")
    assert told["stages.train.outputs.1"][0] == "info"
    assert "no cell tagged 'parameters'" in told["stages.plain.params"][1]
    assert told["stages.typed.params.sed"][2] == "Did you mean 'seed'?"
    assert len(told) == 7
    assert found.digest == digest_of_text((tmp_path / "himalia.toml").read_text())


def test_each_value_of_a_sweep_is_compared_with_the_parameter(tmp_path: Path) -> None:
    notebook(tmp_path / "train.ipynb", "parameters")
    manifest = tmp_path / "himalia.toml"
    text = """\
[project]
name = "x"
[stages.train]
notebook = "train.ipynb"
params = { seed = [1, 2] }
"""
    manifest.write_text(text + "sweep = true\n")
    assert check_folder(tmp_path).items == []
    manifest.write_text(text)
    (problem,) = check_folder(tmp_path).items
    assert "the value given is a list" in problem.message
    manifest.write_text(text.replace("2]", "'x', 'y']") + "sweep = true\n")
    (problem,) = check_folder(tmp_path).items
    assert problem.key == "stages.train.params.seed"
    assert "the value given is text" in problem.message


def test_an_input_may_be_a_folder(tmp_path: Path) -> None:
    notebook(tmp_path / "train.ipynb")
    (tmp_path / "himalia.toml").write_text(
        '[project]\nname = "x"\n[stages.train]\nnotebook = "train.ipynb"\ninputs = ["data"]\n'
    )
    (problem,) = check_folder(tmp_path).items
    assert "data does not exist, and no stage makes it" in problem.message
    (tmp_path / "data").mkdir()
    assert check_folder(tmp_path).items == []


def test_the_command_needs_no_service_and_fails_on_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIMALIA_HOME", str(tmp_path / "none"))
    manifest = tmp_path / "himalia.toml"
    manifest.write_text("[project]\nnam = 'x'\n")
    failed = CliRunner().invoke(check_command, [str(tmp_path)])
    assert failed.exit_code == 1
    assert "himalia.toml:2:1: error: project.nam: there is no such key\n  → Did you mean 'name'?" in failed.output
    assert "2 errors" in failed.output
    manifest.write_text("[project]\nname = 'x'\n")
    good = CliRunner().invoke(check_command, [str(tmp_path), "--json"])
    assert (good.exit_code, json.loads(good.output)["items"]) == (0, [])
    assert not (tmp_path / "none").exists()
    manifest.unlink()
    assert CliRunner().invoke(check_command, [str(tmp_path)]).exit_code == 1


@given(st.text(max_size=300) | st.text(alphabet="[]{}\"'=.,#\n ab\\", max_size=120))
@settings(max_examples=100, deadline=None)
def test_no_text_is_too_strange(text: str) -> None:
    check_text(text)
    lines = text.split("\n")
    for line in range(1, len(lines) + 1):
        found = complete(text, line, len(lines[line - 1]) + 1)
        assert found.column <= found.end_column
    spots(text)


def offered(text: str, folder: Path | None = None) -> list[str]:
    """What is offered at the end of *text*, as it would be inserted."""
    line, column = text.count("\n") + 1, len(text.rpartition("\n")[2]) + 1
    found = complete(text, line, column, folder, ["local"])
    return [item.insert for item in found.items]


def test_an_editor_is_offered_what_fits(tmp_path: Path) -> None:
    for name in ("a.ipynb", "data.csv", "requirements.txt", ".hidden/x.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    tables = ["[project]", "[environment]", "[environments.", "[kernel]", "[snapshot]", "[retention]", "[stages."]
    assert offered("") == tables
    assert "[project]" not in offered("[project]\n\n[")
    assert offered("[project]\nna") == ['name = "']
    assert 'name = "' not in offered('[project]\nname = "x"\n')
    assert offered("[environment]\nkind = ") == ['"overlay"', '"isolated"']
    assert offered('[environment]\nkind = "i') == ["isolated"]
    assert offered('[environment]\nrequirements = "', tmp_path) == ["requirements.txt"]
    assert offered('[stages.a]\nnotebook = "', tmp_path) == ["a.ipynb"]
    assert offered('[stages.a]\noutputs = ["build/x"]\n[stages.b]\ninputs = ["', tmp_path)[0] == "build/x"
    assert "data.csv" in offered('[stages.b]\ninputs = [\n  "one",\n  "', tmp_path)
    assert offered('[stages.a]\n[stages.b]\nafter = ["') == ["a"]
    assert offered('[stages.b]\ncluster = "') == ["local"]
    assert offered('[environments.gpu]\nlock = "x"\n[stages.b]\nenvironment = "') == ["gpu", "site"]
    assert offered("[environments.gpu]\npyth") == ['python = "']
    assert offered("# [pro") == []
    assert offered("[stages.a]\nparams = { x") == []


TEXT = """\
# Ada's project
[project]
name = "x"  # its name

[stages.a]
notebook = "a.ipynb"
inputs = [
  "one.csv",  # first
  "two.csv",  # second
]
params = { seed = 7 }  # any seed

# b comes last
[stages.b]
notebook = "b.ipynb"
after = ["a"]
"""


def edit(op: str, path: list[str], value: object = None) -> ManifestEdit:
    return ManifestEdit.model_validate({"op": op, "path": path, "value": value})


def test_edits_keep_comments_and_order() -> None:
    changed = edit_text(
        TEXT,
        [
            edit("set", ["stages", "a", "inputs"], ["one.csv", "three.csv"]),
            edit("set", ["stages", "a", "params", "seed"], 9),
            edit("add_stage", ["stages", "c"], {"notebook": "c.ipynb", "params": {"n": [1, 2]}}),
            edit("rename_stage", ["stages", "a"], "first"),
            edit("set", ["project", "description"], "with ümlaut"),
            edit("set", ["kernel", "memory"], "2 GiB"),
        ],
    )
    for comment in ("# Ada's project", "# its name", "# first", "# any seed", "# b comes last"):
        assert comment in changed, changed
    manifest = parse_manifest(changed)
    assert list(manifest.stages) == ["first", "b", "c"]
    assert manifest.stages["first"].inputs == ["one.csv", "three.csv"]
    assert manifest.stages["first"].params == {"seed": 9}
    assert manifest.stages["b"].after == ["first"]
    assert manifest.stages["c"].params == {"n": [1, 2]}
    assert manifest.kernel.memory == "2 GiB"
    assert edit_text(TEXT, [edit("set", ["project", "name"], "x")]) == TEXT
    assert edit_text(TEXT, [edit("remove", ["stages", "b"])]).rstrip().endswith("# b comes last")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (edit("set", ["project", "nam"], "x"), "no such key"),
        (edit("set", ["stages", "a", "retries"], -1), "greater"),
        (edit("set", ["stages", "a", "after"], ["b"]), "circle"),
        (edit("remove", ["stages", "a"]), "no stage 'a'"),
        (edit("remove", ["stages", "z"]), "there is no"),
        (edit("set", ["project", "name"], None), "null"),
        (edit("set", ["project", "name", "x"], 1), "no table"),
        (edit("add_stage", ["stages", "a"], {"notebook": "x"}), "already"),
        (edit("rename_stage", ["stages", "a"], "b"), "free name"),
        (edit("rename_stage", ["stages", "a"], "B B"), "edits.0|small letters"),
    ],
)
def test_an_edit_that_would_break_the_file_is_refused(change: ManifestEdit, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        edit_text(TEXT, [change])


def test_a_fault_that_was_there_keeps_nobody_from_mending_another() -> None:
    text = "[project]\nname = 'x'\n[stages.a]\nnotebok = 'a.ipynb'\nretries = -1\n"
    better = edit_text(text, [edit("set", ["stages", "a", "retries"], 1)])
    assert "retries = 1" in better
    assert "notebok" in better


def test_a_file_that_was_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    manifest = tmp_path / "himalia.toml"
    manifest.write_text(TEXT)
    base = digest_of_text(TEXT)
    manifest.write_text(TEXT + "# mine\n")
    with pytest.raises(Conflict, match="was changed"):
        write_text(tmp_path, "[project]\nname = 'y'\n", base)
    assert manifest.read_text() == TEXT + "# mine\n"
    manifest.chmod(0o640)
    write_text(tmp_path, "[project]\nname = 'y'\n", digest_of_text(TEXT + "# mine\n"))
    assert manifest.read_text() == "[project]\nname = 'y'\n"
    assert manifest.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["himalia.toml"]


def test_the_published_schema_is_up_to_date_and_explains_each_key() -> None:
    assert FILE.read_text(encoding="utf-8") == schema_text(), "write it anew: himalia schema -o …"
    schema = manifest_schema()
    tables = [schema, *schema["$defs"].values()]
    assert len(tables) == len(Manifest.model_fields) + 1
    for table in tables:
        assert table["additionalProperties"] is False
        for name, key in table["properties"].items():
            assert key.get("description") or "$ref" in key, (table["title"], name)
    assert "null" not in schema_text()


def test_the_schema_takes_what_the_service_takes() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(manifest_schema())
    root = Path(__file__).parents[3] / "notebooks"
    for file in root.glob("*/himalia.toml"):
        assert not list(check.iter_errors(tomllib.loads(file.read_text()))), file
    assert not list(check.iter_errors(tomllib.loads(TEXT)))
    assert len(list(check.iter_errors(tomllib.loads(BAD)))) >= 5
    with pytest.raises(ManifestFault):
        parse_manifest(BAD)
