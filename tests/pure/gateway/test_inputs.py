"""Bodies of requests: MLflow's formats, columns matched by name, values cast by the signature."""

from __future__ import annotations

import json
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia._replica_wire import LENGTHS, lengths
from himalia_server.gateway.batch import encode_batch
from himalia_server.gateway.casting import InputError, cast_column
from himalia_server.gateway.inputs import ContentTypeError, Model, Prepared, check_content_type, prepare

TWO = Model(table=True, batchable=True, columns={"a": "double", "b": "long"})


def ask(content: object, model: Model = TWO) -> Prepared:
    return prepare(json.dumps(content).encode(), "application/json", model)


def values(prepared: Prepared) -> dict[str, list[Any]]:
    """Unpack the columns again."""
    codes = {"double": "d", "float": "f", "long": "q", "integer": "i"}
    result: dict[str, list[Any]] = {}
    for name, (kind, column) in prepared.columns.items():
        data = column.data
        result[name] = array(codes[kind], data).tolist() if isinstance(data, bytes) else list(data)
    return result


SAME = [
    {"dataframe_split": {"columns": ["a", "b"], "data": [[1.5, 2], [3, 4]]}},
    {"dataframe_split": {"columns": ["b", "x", "a"], "data": [[2, "?", 1.5], [4, None, 3]]}},
    {"dataframe_records": [{"a": 1.5, "b": 2}, {"b": 4, "a": 3, "x": 0}]},
    {"instances": [{"a": 1.5, "b": 2}, {"a": 3, "b": 4}]},
    {"inputs": {"a": [1.5, 3], "b": [2, 4], "x": [0]}},
    {"inputs": [{"a": 1.5, "b": 2}, {"a": 3, "b": 4}]},
    {"dataframe_split": {"columns": ["a", "b"], "data": [["1.5", "2"], ["3", 4.0]]}},
]


@pytest.mark.parametrize("content", SAME)
def test_all_formats_give_the_same_columns(content: dict[str, Any]) -> None:
    prepared = ask(content)
    assert values(prepared) == {"a": [1.5, 3.0], "b": [2, 4]}
    assert list(prepared.columns) == ["a", "b"]
    assert prepared.rows == 2
    assert prepared.group == ask(SAME[0]).group is not None


def test_scalars_are_one_row() -> None:
    assert values(ask({"inputs": {"a": 1, "b": 2}})) == {"a": [1.0], "b": [2]}


def test_a_list_is_enough_for_one_column() -> None:
    model = Model(table=True, batchable=True, columns={"text": "string"})
    assert values(ask({"inputs": ["x", "y"]}, model)) == {"text": ["x", "y"]}
    assert values(ask({"instances": ["x"]}, model)) == {"text": ["x"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1], "it is a list"),
        ("x", "it is a str"),
        ({}, "exactly one of the keys"),
        ({"inputs": {}, "instances": []}, "exactly one of the keys"),
        (
            {"dataframe_split": {"columns": ["a"], "data": [[1]]}},
            "is missing the columns 'b'. It expects: 'a' (double)",
        ),
        ({"dataframe_split": {"data": [[1, 2]]}}, "columns are matched by name"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": []}}, "the column 'a' is there twice"),
        (
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [1]]}},
            "row 1 has 1 values for 2 columns",
        ),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]], "index": [1, 2]}}, "'index'"),
        ({"dataframe_split": {"columns": ["a", "b"], "data": {"a": 1}}}, "must be a list of rows"),
        ({"dataframe_split": [1]}, "must be an object with 'columns' and 'data'"),
        ({"dataframe_records": {"a": 1}}, "must be a list of records"),
        ({"dataframe_records": []}, "is missing the columns 'a', 'b'"),
        ({"instances": [[1, 2]]}, "must name its columns"),
        ({"instances": [{"a": 1, "b": 2}, {"a": 1}]}, "row 1 lacks the column 'b'"),
        ({"inputs": {"a": [1, 2], "b": [1]}}, "different numbers of values"),
        ({"inputs": {"a": 1, "b": 2}, "params": [1]}, "'params' must be an object"),
        ({"inputs": {"a": "warm", "b": 2}}, "column 'a' to type double: row 0 holds \"warm\"."),
        ({"inputs": {"a": [1], "b": [1.5]}}, "row 0 holds 1.5 (not a whole number)"),
        ({"inputs": {"a": [1], "b": [None]}}, "declare the column as double"),
        ({"inputs": {"a": [1], "b": [2**63]}}, "column 'b' to type long"),
        ({"inputs": {"a": [[1]], "b": [1]}}, "row 0 holds [1]"),
    ],
)
def test_what_is_wrong_is_said(content: object, said: str) -> None:
    with pytest.raises(InputError) as caught:
        ask(content)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"inputs": ', "line 1, column 12 (character 11)"),
        (b'{"inputs":\n [1,, 2]}', "line 2, column 5"),
        (b"", "line 1, column 1"),
        (b'{"inputs": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "not usable JSON"),
    ],
)
def test_the_place_of_a_mistake_in_json_is_said(body: bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        prepare(body, "application/json", TWO)
    assert said in str(caught.value)


def test_pythons_nan_is_accepted() -> None:
    prepared = prepare(b'{"inputs": {"a": [NaN, Infinity], "b": [1, 2]}}', "application/json", TWO)
    first, second = values(prepared)["a"]
    assert first != first
    assert second == float("inf")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=UTF-8", "text/csv"])
def test_known_content_types(content_type: str) -> None:
    assert check_content_type(content_type) in content_type


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/json; charset=latin-1", "application/json; x=1"]
)
def test_unknown_content_types(content_type: str | None) -> None:
    with pytest.raises(ContentTypeError):
        check_content_type(content_type)


def test_missing_values_are_nan_in_doubles() -> None:
    column = values(ask({"dataframe_records": [{"a": None, "b": 1}, {"b": 2}, {"a": 1, "b": 3}]}))["a"]
    assert column[0] != column[0]
    assert column[1] != column[1]
    assert column[2] == 1.0


def test_optional_columns_may_be_absent_but_are_not_mixed_with_present_ones() -> None:
    model = Model(True, True, {"a": "double", "b": "double"}, optional=frozenset(["b"]))
    without, given_too = ask({"inputs": {"a": 1}}, model), ask({"inputs": {"a": 1, "b": 2}}, model)
    assert list(without.columns) == ["a"]
    assert without.group != given_too.group


@pytest.mark.parametrize("content", [{"dataframe_split": {"columns": ["a", "b"], "data": []}}, SAME[0]])
def test_requests_that_cannot_share_a_batch_go_alone(content: dict[str, Any]) -> None:
    alone = Model(True, False, TWO.columns)
    empty = not content["dataframe_split"]["data"]
    assert ask(content, TWO if empty else alone).group is None


def test_params_only_when_the_signature_has_them() -> None:
    content = {**SAME[0], "params": {"k": 1}}
    assert ask(content).params is None
    model = Model(True, True, TWO.columns, takes_params=True)
    assert ask(content, model).params == {"k": 1}
    assert ask(content, model).group != ask(SAME[0], model).group


def test_other_signatures_are_left_to_mlflow() -> None:
    model = Model(table=False, batchable=False, columns={})
    body = b'{"inputs": [[1, 2]]}'
    prepared = prepare(body, "application/json", model)
    assert (prepared.kind, prepared.body, prepared.group) == ("json", body, None)


@pytest.mark.parametrize(
    ("kind", "given_values", "expected"),
    [
        ("double", [1, True, "2.5", None], array("d", [1.0, 1.0, 2.5, float("nan")]).tobytes()),
        ("float", [0.1], array("f", [0.1]).tobytes()),
        ("long", [True, "3", 4.0, -(2**63)], array("q", [1, 3, 4, -(2**63)]).tobytes()),
        ("integer", [1, 2], array("i", [1, 2]).tobytes()),
        ("boolean", [True, False, 1, 0.0], b"\1\0\1\0"),
        ("string", ["x", None], ["x", None]),
        (
            "datetime",
            ["2026-03-29T02:30:00", "2026-03-29", None],
            ["2026-03-29T02:30:00", "2026-03-29", None],
        ),
        ("binary", ["aGk="], ["aGk="]),
    ],
)
def test_casting(kind: str, given_values: list[Any], expected: object) -> None:
    assert cast_column("c", kind, given_values).data == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("double", "1_000"),
        ("double", {}),
        ("integer", 2**31),
        ("long", 1e300),
        ("long", float("nan")),
        ("long", "3.5"),
        ("boolean", "false"),
        ("boolean", 2),
        ("boolean", None),
        ("string", ["x"]),
        ("datetime", 1790000000),
        ("datetime", "29.3.2026"),
        ("datetime", "2026-03-29T02:30:00+02:00"),
        ("binary", "a"),
        ("binary", None),
    ],
)
def test_what_would_be_altered_silently_is_refused(kind: str, value: object) -> None:
    with pytest.raises(InputError, match=f"Failed to convert column 'c' to type {kind}: row 1 holds"):
        cast_column(
            "c",
            kind,
            [{"long": 1, "integer": 1, "double": 1.0, "boolean": True}.get(kind, _usual(kind)), value],
        )


def _usual(kind: str) -> str:
    return {"datetime": "2026-03-29", "binary": "aGk="}.get(kind, "text")


def test_columns_that_pandas_types_differently_are_not_mixed() -> None:
    plain, empty, numbers = (cast_column("c", "string", v).mixture for v in (["x"], [None], ["x", 1]))
    assert plain == ()
    assert len({plain, empty, numbers}) == 3


@given(st.lists(st.lists(st.floats(allow_nan=False), min_size=1, max_size=5), min_size=1, max_size=6))
def test_a_batch_holds_every_request_in_order(requests: list[list[float]]) -> None:
    model = Model(True, True, {"a": "double"})
    prepared = [prepare(json.dumps({"inputs": {"a": r}}).encode(), "application/json", model) for r in requests]
    frame = encode_batch(3, prepared)
    head, body = lengths(frame)
    header = json.loads(frame[LENGTHS.size : LENGTHS.size + head])
    assert header["rows"] == [len(request) for request in requests]
    assert array("d", frame[-body:]).tolist() == [value for request in requests for value in request]


def test_lone_surrogates_reach_the_model() -> None:
    model = Model(True, True, {"t": "string"})
    prepared = prepare(b'{"inputs": {"t": ["\\ud800"]}}', "application/json", model)
    assert b"\\ud800" in encode_batch(1, [prepared])
