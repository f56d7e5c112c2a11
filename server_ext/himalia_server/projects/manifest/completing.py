"""What may be written at the cursor of an editor that holds a manifest."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from .checks import files_of
from .models import Candidate, Completion
from .tables import NAMED, SITE, TABLES, Manifest, table_at
from .toml_text import Cursor, Spot, character, cursor, place, spots

MOST = 200
"""Candidates."""
ENDINGS = {"notebook": (".ipynb",), "requirements": (".txt", ".in"), "pyproject": (".toml",)}


def complete(text: str, line: int, column: int, folder: Path | None = None, clusters: Iterable[str] = ()) -> Completion:
    """Candidates for the place before *column* of *line* (both from 1)."""
    at = character(text, line, column)
    found = cursor(text[:at])
    if found is None:
        row, start = place(text, at)
        return Completion(items=[], line=row, column=start, end_column=start)
    known = spots(text)
    prefix = text[found.begin : at]
    if found.kind == "header":
        items = _headers(found, known)
    elif found.kind == "key":
        items = _keys(found, known, text, at)
    else:
        items = _values(found, known, text, folder, clusters)
        if not found.quote:
            items = (_quoted(item) for item in items)
    # candidates that go on with what was typed come before those that only contain it
    word = prefix.strip().strip("\"'").lower()
    ranked = sorted(
        (item for item in items if word in item.label.lower()), key=lambda item: not item.label.lower().startswith(word)
    )
    row, start = place(text, found.begin)
    last, end = place(text, at)
    if last != row:  # a list over several lines
        row, start = last, end
    return Completion(items=ranked[:MOST], line=row, column=start, end_column=end)


def _headers(found: Cursor, known: list[Spot]) -> Iterator[Candidate]:
    there = {spot.path for spot in known if spot.header}
    if len(found.path) == 1 and found.path[0] in NAMED:
        return
    for name, table in TABLES.items():
        detail = (table.__doc__ or "").partition("\n")[0]
        if name in NAMED:
            yield Candidate(label=f"{name}.", insert=f"{name}.", kind="table", detail=detail)
        elif (name,) not in there:
            yield Candidate(label=name, insert=name, kind="table", detail=detail)


def _keys(found: Cursor, known: list[Spot], text: str, at: int) -> Iterator[Candidate]:
    path = [str(part) for part in found.path]
    table = table_at(path)
    if table is None:
        return
    there = {spot.path[-1] for spot in known if spot.path[:-1] == found.path and not spot.begin <= at <= spot.end}
    for name, field in table.model_fields.items() if table is not Manifest else ():
        if name not in there:
            rest = text[at:].partition("\n")[0]
            insert = name if rest.lstrip().startswith("=") else f"{name} = {_begin(field)}"
            yield Candidate(label=name, insert=insert, kind="key", detail=field.description or "")
    if table is Manifest:
        for candidate in _headers(Cursor("header", (), at, ""), known):
            begin = f"[{candidate.insert}" + ("" if candidate.insert.endswith(".") else "]")
            yield candidate.model_copy(update={"insert": begin, "label": begin})


def _begin(field: FieldInfo) -> str:
    """How a value of the field begins."""
    kinds = _kinds(field.annotation)
    return "[" if list in kinds else "{ " if dict in kinds else '"' if str in kinds else ""


def _kinds(annotation: Any) -> set[Any]:
    """Python's types, and the literals, of which a value may be."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return _kinds(get_args(annotation)[0])
    if origin is Literal:
        return {str}
    if origin in (list, dict):
        return {origin}
    if get_args(annotation):
        return set[Any]().union(*(_kinds(part) for part in get_args(annotation)))
    return {annotation}


def _values(
    found: Cursor, known: list[Spot], text: str, folder: Path | None, clusters: Iterable[str]
) -> Iterator[Candidate]:
    keys = [part for part in found.path if isinstance(part, str)]
    table = table_at(keys[:-1])
    if table is None or keys[-1] not in table.model_fields:
        return
    key, field = keys[-1], table.model_fields[keys[-1]]
    stages = {str(spot.path[1]): None for spot in known if spot.path[0] == "stages" and len(spot.path) >= 2}
    if get_origin(field.annotation) is Literal:
        yield from (
            Candidate(label=value, insert=value, kind="value", detail="") for value in get_args(field.annotation)
        )
    elif key == "after":
        others = [name for name in stages if name != keys[1]]
        yield from (Candidate(label=name, insert=name, kind="stage", detail="a stage") for name in others)
    elif key == "cluster":
        yield from (Candidate(label=name, insert=name, kind="cluster", detail="runs now") for name in clusters)
    elif key == "environment":
        environments = {str(spot.path[1]): None for spot in known if spot.path[0] == "environments" and spot.path[1:]}
        yield from (Candidate(label=name, insert=name, kind="value", detail="") for name in (*environments, SITE))
    elif key in ("notebook", "inputs", "requirements", "pyproject", "lock"):
        if key == "inputs":
            yield from _outputs(known, text, keys[1])
        files = files_of(folder) if folder is not None else []
        ends = ENDINGS.get(key, ("",))
        yield from (Candidate(label=name, insert=name, kind="file", detail="") for name in files if name.endswith(ends))
    else:
        for example in field.examples or ():
            for value in example if isinstance(example, list) else [example]:
                if isinstance(value, str):
                    yield Candidate(label=value, insert=value, kind="value", detail="for example")


def _outputs(known: list[Spot], text: str, stage: str) -> Iterator[Candidate]:
    for spot in known:
        if len(spot.path) == 4 and spot.path[0] == "stages" and spot.path[2] == "outputs" and spot.path[1] != stage:
            name = text[spot.begin : spot.end].strip("\"'")
            yield Candidate(label=name, insert=name, kind="file", detail=f"made by {spot.path[1]}")


def _quoted(item: Candidate) -> Candidate:
    return item.model_copy(update={"insert": f'"{item.insert}"'})
