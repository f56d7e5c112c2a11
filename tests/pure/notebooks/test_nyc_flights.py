"""The example project: its notebooks and manifest agree, read well as source, and do not leak the answer."""

from __future__ import annotations

import ast
import re
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
import pytest

PROJECT = Path(__file__).parents[3] / "notebooks" / "nyc-flights"
MANIFEST = tomllib.loads((PROJECT / "himalia.toml").read_text(encoding="utf-8"))
TEMPLATE = tomllib.loads((PROJECT / "template.toml").read_text(encoding="utf-8"))
STAGES: dict[str, dict[str, Any]] = MANIFEST["stages"]
KNOWN_LATER = {"dep_time", "dep_delay", "arr_time", "air_time"}
FORBIDDEN = {*KNOWN_LATER, "arr_delay", "late", "year", "flight", "tailnum"}
DURATION = re.compile(r"[1-9][0-9]*[smh]")


def load(stage: str) -> nbformat.NotebookNode:
    return nbformat.read(PROJECT / STAGES[stage]["notebook"], as_version=nbformat.NO_CONVERT)


def code_cells(stage: str) -> dict[str, str]:
    return {cell.id: cell.source for cell in load(stage).cells if cell.cell_type == "code"}


def strings(stage: str) -> Iterator[str]:
    """Every string in the code of a stage's notebook, the constant parts of f-strings too."""
    for source in code_cells(stage).values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def constants(source: str) -> dict[str, Any]:
    """The upper-case names that a cell assigns, without running the rest of it."""
    names: dict[str, Any] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            exec(compile(ast.Module([node], []), "<cell>", "exec"), names)
    names.pop("__builtins__", None)
    return names


@pytest.mark.parametrize("stage", STAGES)
def test_notebook_is_valid_and_has_no_outputs(stage: str) -> None:
    notebook = load(stage)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "papermill" not in notebook.metadata
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    for cell in notebook.cells:
        assert cell.source.strip(), f"cell {cell.id} is empty"
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("stage", STAGES)
def test_parameters_cell_agrees_with_the_manifest(stage: str) -> None:
    tagged = [cell for cell in load(stage).cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    found: dict[str, Any] = {}
    lines = tagged[0].source.splitlines()
    for node in ast.parse(tagged[0].source).body:
        assert isinstance(node, ast.AnnAssign), "every parameter has a type"
        assert isinstance(node.target, ast.Name)
        assert node.value is not None
        assert "  # " in lines[node.lineno - 1], f"{node.target.id} has no comment"
        found[node.target.id] = ast.literal_eval(node.value)
    assert found == STAGES[stage]["params"]


def test_every_notebook_is_a_stage() -> None:
    assert {path.name for path in PROJECT.glob("*.ipynb")} == {stage["notebook"] for stage in STAGES.values()}
    assert MANIFEST["project"]["name"] == TEMPLATE["name"] == PROJECT.name
    assert STAGES["train"]["cluster"] == "local"
    assert all(DURATION.fullmatch(stage["timeout"]) for stage in STAGES.values())


def test_inputs_come_from_the_data_or_from_an_earlier_stage() -> None:
    known = {f"{TEMPLATE['data']['target']}/{name}" for name in TEMPLATE["data"]["files"]}
    for name, stage in STAGES.items():  # written in the order in which they run
        assert set(stage["inputs"]) <= known, name
        assert not set(stage["outputs"]) & known, f"{name} makes what another stage or the data already has"
        known |= set(stage["outputs"])
    assert set(STAGES["train"]["inputs"]) <= set(STAGES["prepare"]["outputs"])
    assert set(STAGES["evaluate"]["inputs"]) <= set(STAGES["prepare"]["outputs"] + STAGES["train"]["outputs"])


@pytest.mark.parametrize("stage", STAGES)
def test_code_reads_and_writes_what_is_declared(stage: str) -> None:
    used = {text for text in strings(stage) if text.startswith(("data/", "build/"))}
    assert used == set(STAGES[stage]["inputs"] + STAGES[stage]["outputs"])


@pytest.mark.parametrize("stage", STAGES)
def test_no_absolute_path(stage: str) -> None:
    declared = [STAGES[stage]["notebook"], *STAGES[stage]["inputs"], *STAGES[stage]["outputs"]]
    for text in [*declared, *strings(stage)]:
        assert not re.match(r"[/~]\w", text), text
        assert ".." not in PurePosixPath(text).parts, text
        assert not re.match(r"[A-Za-z]:\\", text), text


def test_features_are_known_before_departure() -> None:
    model = constants(code_cells("train")["features"])
    features = model["FEATURES"]
    assert len(features) == len(set(features)) <= 20
    assert not FORBIDDEN & set(features)
    shown = constants(code_cells("prepare")["columns"]) | constants(code_cells("prepare")["join"])
    assert set(features) == set(shown["TIMETABLE"] + shown["PLANE"] + shown["WEATHER"])
    assert not set(features) & set(shown["ANSWER"])


def test_what_happens_after_departure_is_never_read() -> None:
    for stage in STAGES:
        assert not KNOWN_LATER & set(strings(stage)), stage
    assert "arr_delay" not in set(strings("train"))


def run_cells(stage: str, names: list[str] | None = None) -> dict[str, Any]:
    """Run the cells of a stage (all, or those named) in this process and the current folder."""
    import matplotlib as mpl

    scope: dict[str, Any] = {"__name__": "notebook"}
    cells = code_cells(stage)
    with mpl.rc_context({"backend": "agg"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
        for name in names or list(cells):
            exec(compile(cells[name], f"<{stage}: {name}>", "exec"), scope)
    return scope


def write_data(folder: Path) -> None:
    """Three small tables in the shape of the real ones: seven months, four flights a day at one airport."""
    import pandas as pd

    folder.mkdir()
    days = pd.date_range("2013-01-01", "2013-07-31")
    flights = pd.DataFrame(
        [
            {
                **{"year": 2013, "month": day.month, "day": day.day, "hour": hour, "minute": 30},
                **{"arr_delay": float(5 * number), "dep_delay": 3.0, "flight": number, "carrier": "UA"},
                **{"tailnum": f"N{number}", "origin": "EWR", "dest": "IAH", "distance": 1400},
                "time_hour": f"{day:%Y-%m-%d}T{hour:02d}:00:00Z",
            }
            for day in days
            for number, hour in enumerate([8, 8, 12, 18], start=1)
        ]
    )
    flights.loc[flights["flight"].eq(2) & flights["day"].eq(1), "arr_delay"] = None  # cancelled
    flights.to_csv(folder / "flights.csv.zip", index=False)
    measured = {"temp": 50.0, "humid": 60.0, "wind_dir": 270.0, "wind_speed": 10.0, "precip": 0.0}
    hours = flights[["origin", "time_hour"]].drop_duplicates()
    weather = hours.assign(**measured, wind_gust=None, pressure=1010.0, visib=10.0).iloc[1:]
    weather.loc[weather.index[0], "wind_speed"] = 1048.4
    weather.loc[weather.index[::5], "wind_gust"] = 25.0
    weather.to_csv(folder / "weather.csv", index=False)
    planes = pd.DataFrame({"tailnum": ["N1", "N2"], "year": [2003, None], "seats": [180, 55]})
    planes.to_csv(folder / "planes.csv", index=False)


def test_prepare_makes_one_row_a_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    write_data(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    run_cells("prepare")
    train, july = (pd.read_parquet(tmp_path / name) for name in STAGES["prepare"]["outputs"])

    assert sorted(train["month"].unique()) == [1, 2, 3, 4, 5, 6]
    assert july["month"].unique().tolist() == [7]
    assert len(train) == 4 * 181 - 6, "cancelled flights go, all others stay, once each"
    assert len(july) == 4 * 31 - 1
    assert (train["late"] == (train["arr_delay"] > 15)).all()
    assert train.groupby("flight")["late"].mean().tolist() == [0, 0, 0, 1], "15 minutes are not yet late"
    assert set(train.loc[train["hour"] == 8, "departures"]) == {2}, "cancelled flights count as planned"
    assert train["wind_speed"].max() == 10.0
    assert train["wind_speed"].isna().sum() == 2, "one hour without weather, one broken instrument"
    assert train.groupby("flight")["plane_age"].max().tolist()[0] == 10
    assert train.loc[train["flight"] > 1, "plane_age"].isna().all()
    assert "dep_delay" not in train
    assert train.iloc[0]["weekday"] == "Tue"
    assert list(train.columns) == list(july.columns)


def test_prepare_refuses_to_train_on_the_test_month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = code_cells("prepare")["imports"]
    with pytest.raises(ValueError, match="Month 6 is kept for the test"):
        exec(source, {"months": [5, 6], "test_month": 6})


def test_candidates_live_with_gaps_and_unknown_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    import pandas as pd

    write_data(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    run_cells("prepare")
    monkeypatch.delenv("HIMALIA_CLUSTER", raising=False)
    train = run_cells("train", ["parameters", "imports", "features", "candidates", "trial", "spread"])

    assert train["parts"]["learn"]["month"].max() < train["parts"]["validate"]["month"].min()
    results = {result["name"]: result for result in train["results"]()}
    assert set(results) == set(train["CANDIDATES"])
    assert results["no model"]["roc_auc"] == 0.5
    assert min(results.values(), key=lambda result: result["log_loss"])["name"] != "no model"

    asked = train["parts"]["validate"][train["FEATURES"]].head(4).copy()
    asked[train["MEASURED"]] = np.nan
    asked["carrier"] = ["ZZ", None, "UA", ""]
    for name, model in train["CANDIDATES"].items():
        probability = train["fit"](model, train["flights"]).predict_proba(pd.DataFrame(asked))[:, 1]
        assert ((probability >= 0) & (probability <= 1)).all(), name
