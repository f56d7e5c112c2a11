"""Request bodies of ``/invocations``, prepared for a replica: MLflow's formats, checked by the signature.

For a model whose signature names columns of simple types, the body becomes columns that can share a
DataFrame with other requests' rows. For any other model the body goes to the replica as it is, alone, and
MLflow's own code interprets it there.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from himalia_server.gateway.casting import Column, InputError, cast_column

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
JSON_TYPE, CSV_TYPE = "application/json", "text/csv"


class ContentTypeError(ValueError):
    """The body's content type is none that a model can be asked with."""


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of a revision's model once a replica has loaded it."""

    table: bool
    batchable: bool
    columns: dict[str, str]
    """Name and type of each column of the signature, in its order."""
    optional: frozenset[str] = frozenset()
    takes_params: bool = False

    @staticmethod
    def from_description(description: Mapping[str, Any]) -> Model:
        """Read what a replica reports (``ServedModel.describe``)."""
        signature = description["signature"] or {}
        table = bool(description["table"])
        inputs = signature.get("inputs") or []
        return Model(
            table=table,
            batchable=bool(description["batchable"]),
            columns={item["name"]: item["type"] for item in inputs} if table else {},
            optional=frozenset(item["name"] for item in inputs if table and not item.get("required", True)),
            takes_params=bool(signature.get("params")),
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request's input, ready to be sent to a replica, maybe together with others of the same *group*."""

    kind: str
    rows: int
    body: bytes = b""
    columns: dict[str, tuple[str, Column]] = field(default_factory=dict)
    params: dict[str, Any] | None = None
    index: list[Any] | None = None
    group: Hashable = None
    """None: goes alone."""


def prepare(body: bytes, content_type: str | None, model: Model) -> Prepared:
    """Parse and check a body; InputError (400) or ContentTypeError (415) say what is wrong with it."""
    if check_content_type(content_type) == CSV_TYPE:
        try:
            body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from error
        return Prepared("csv", 1, body=body)
    content = decode_json(body)
    found = _only_format(content)
    params = _params(content, model)
    if not model.table:
        return Prepared("json", 1, body=body, params=params)
    value = content[found]
    table, rows = _READERS[found](value, model)
    index = value.get("index") if found == "dataframe_split" else None
    if index is not None and (not isinstance(index, list) or len(index) != rows):
        raise InputError(f"'dataframe_split': 'index' must be a list of {rows} labels, one a row.")
    return _cast(table, rows, params, index, model)


def check_content_type(content_type: str | None) -> str:
    """Return the media type; ContentTypeError when it is neither JSON nor CSV in UTF-8."""
    media, *parameters = (part.strip() for part in (content_type or "").split(";"))
    if media.lower() not in (JSON_TYPE, CSV_TYPE):
        raise ContentTypeError(
            f"This endpoint accepts the content types {JSON_TYPE} and {CSV_TYPE}, not {media or 'none'!r}."
        )
    for parameter in filter(None, parameters):
        name, _, value = parameter.partition("=")
        if name.strip().lower() != "charset" or value.strip().strip('"').lower() not in ("utf-8", "utf8"):
            raise ContentTypeError(f"The content type's parameter {parameter!r} is not known; send UTF-8.")
    return media.lower()


def decode_json(body: bytes) -> dict[str, Any]:
    """Decode a JSON object; NaN and Infinity are accepted, since Python's clients write them."""
    content: Any
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = _decode_slowly(body)
    if not isinstance(content, dict):
        kind = "list" if isinstance(content, list) else type(content).__name__
        raise InputError(f"The body must be a JSON object with one of the keys {', '.join(FORMATS)}; it is a {kind}.")
    return content


def _decode_slowly(body: bytes) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno} (character {error.pos})"
        raise InputError(f"The body is not valid JSON: {error.msg} at {place}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"The body is not usable JSON: {error}.") from error


def _only_format(content: dict[str, Any]) -> str:
    found = [name for name in FORMATS if name in content]
    if len(found) != 1:
        there = ", ".join(sorted(content)[:20]) or "none"
        raise InputError(f"The body must have exactly one of the keys {', '.join(FORMATS)}; its keys are: {there}.")
    return found[0]


def _params(content: dict[str, Any], model: Model) -> dict[str, Any] | None:
    params = content.get("params")
    if params is not None and not isinstance(params, dict):
        raise InputError("'params' must be an object of names and values.")
    return params if model.takes_params else None


Table = dict[str, Sequence[Any]]


def _read_split(value: Any, _model: Model) -> tuple[Table, int]:
    if not isinstance(value, dict) or "data" not in value or not set(value) <= {"columns", "data", "index"}:
        raise InputError("'dataframe_split' must be an object with 'columns' and 'data', and optionally 'index'.")
    columns, data = value.get("columns"), value["data"]
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise InputError("'dataframe_split' needs 'columns', a list of names: columns are matched by name.")
    if len(set(columns)) != len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise InputError(f"'dataframe_split': the column {twice!r} is there twice.")
    if not isinstance(data, list) or not all(isinstance(row, list) for row in data):
        raise InputError("'dataframe_split': 'data' must be a list of rows, each a list of values.")
    for number, row in enumerate(data):
        if len(row) != len(columns):
            raise InputError(f"'dataframe_split': row {number} has {len(row)} values for {len(columns)} columns.")
    across: Sequence[Sequence[Any]] = list(zip(*data, strict=True)) if data else [()] * len(columns)
    return dict(zip(columns, across, strict=True)), len(data)


def _read_records(value: Any, model: Model, where: str = "dataframe_records") -> tuple[Table, int]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise InputError(f"{where!r} must be a list of records, each an object of column names and values.")
    there = set(itertools.chain.from_iterable(value))
    table: Table = {name: [row.get(name) for row in value] for name in model.columns if name in there}
    return table, len(value)


def _read_instances(value: Any, model: Model) -> tuple[Table, int]:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        table, rows = _read_records(value, model, "instances")
        for name in table:
            lacking = next((number for number, row in enumerate(value) if name not in row), None)
            if lacking is not None:
                raise InputError(f"'instances': row {lacking} lacks the column {name!r} that other rows have.")
        return table, rows
    return _read_inputs(value, model, "instances")


def _read_inputs(value: Any, model: Model, where: str = "inputs") -> tuple[Table, int]:
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return _read_records(value, model, where)
    if isinstance(value, list) and len(model.columns) == 1:
        return {next(iter(model.columns)): value}, len(value)
    if not isinstance(value, dict):
        raise InputError(f"{where!r} must name its columns ({_expected(model)}): an object of lists, or records.")
    wanted = {name: item for name, item in value.items() if name in model.columns}
    lengths = {len(item) for item in wanted.values() if isinstance(item, list)}
    if len(lengths) > 1:
        raise InputError(f"{where!r}: the columns have different numbers of values.")
    rows = lengths.pop() if lengths else 1
    return {name: item if isinstance(item, list) else [item] * rows for name, item in wanted.items()}, rows


_READERS: dict[str, Callable[[Any, Model], tuple[Table, int]]] = {
    "dataframe_split": _read_split,
    "dataframe_records": _read_records,
    "instances": _read_instances,
    "inputs": _read_inputs,
}


def _cast(table: Table, rows: int, params: dict[str, Any] | None, index: list[Any] | None, model: Model) -> Prepared:
    """Put the signature's columns into its order, drop others, cast each."""
    missing = [name for name in model.columns if name not in table and name not in model.optional]
    if missing:
        names = ", ".join(repr(name) for name in missing)
        raise InputError(f"The model is missing the columns {names}. It expects: {_expected(model)}.")
    columns: dict[str, tuple[str, Column]] = {}
    mixtures = []
    for name, kind in model.columns.items():
        if name in table:
            column = cast_column(name, kind, table[name])
            columns[name] = (kind, column)
            if column.mixture:
                mixtures.append((name, *column.mixture))
    group: Hashable = None
    if model.batchable and rows > 0 and index is None:
        there = tuple(columns) if model.optional else ()
        group = (there, tuple(mixtures), json.dumps(params, sort_keys=True) if params else "")
    return Prepared("columns", rows, columns=columns, params=params, index=index, group=group)


def _expected(model: Model) -> str:
    return ", ".join(
        f"{name!r} ({kind}{', optional' if name in model.optional else ''})" for name, kind in model.columns.items()
    )
