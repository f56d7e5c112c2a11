"""Changes of a manifest by a program: comments and order stay, and nothing is written that has a fault."""

from __future__ import annotations

import difflib
import errno
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array, InlineTable, Table

from ...service.problems import Conflict, Invalid
from .checks import digest_of_text
from .faults import examine, sentence
from .models import ManifestEdit
from .reading import ManifestFault, parse_manifest, read_text
from .tables import NAME, NAMED, Manifest
from .toml_text import line_after, spots


def edit_text(text: str, edits: Sequence[ManifestEdit]) -> str:
    """The text after the changes.

    Raises:
        Invalid, ManifestFault: a change cannot be made, or what comes of it would have a fault that was not there.
    """
    _, before = examine(text)
    syntax = next((sentence(fault) for fault in before if not fault.key), None)
    if syntax is None:
        try:
            document = tomlkit.parse(text)
        except TOMLKitError as error:
            syntax = f"{NAME}: {error}."
    if syntax is not None:
        raise ManifestFault(syntax, hint="Mend the file first.", field="toml")
    for number, edit in enumerate(edits):
        where = f"edits.{number}"
        try:
            if edit.op == "rename_stage":
                document = tomlkit.parse(_renamed(tomlkit.dumps(document), _stage_of(edit), edit.value))
                _rename_after(document, edit.path[1], edit.value)
            else:
                fresh = _with_new_key(document, edit)
                if fresh is None:
                    _apply(document, edit)
                else:
                    document = fresh
        except (TOMLKitError, ValueError, TypeError, LookupError, RecursionError) as error:
            raise Invalid(f"{where}: {error}".rstrip(".") + ".", field=where) from error
    result = tomlkit.dumps(document)
    _, after = examine(result)
    known = {(fault.key, fault.message) for fault in before}
    for fault in after:
        if (fault.key, fault.message) not in known:
            raise ManifestFault(sentence(fault), hint=fault.hint, field=fault.key or "toml")
    return result


def change_key(folder: Path, path: list[str], change: Callable[[Manifest], Any]) -> None:
    """Set the key at *path* to what *change* makes of the manifest as it is now; None: nothing is written.

    Raises:
        ManifestFault: it has a fault, before or afterwards. Conflict, Invalid: see `write_text`.
    """
    text = read_text(folder)
    value = change(parse_manifest(text))
    if value is not None:
        edit = ManifestEdit(op="set", path=path, value=value)
        write_text(folder, edit_text(text, [edit]), digest_of_text(text))


def write_text(folder: Path, text: str, base_digest: str) -> None:
    """Replace a project's manifest, when it is still what *base_digest* says.

    Raises:
        Conflict: somebody else has changed it, or it cannot be written. Invalid: it is a link that leads out of the
            project. OSError: the disk is full.
    """
    path = (folder / NAME).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise Invalid(f"{NAME} leads out of the project.", hint="Put the file itself into the folder.")
    try:
        _replace(folder, path, text, base_digest)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Conflict(
            f"{path} cannot be written: {error.strerror}.",
            hint="Look at the rights of the file and of its folder, then try again.",
        ) from error


def _replace(folder: Path, path: Path, text: str, base_digest: str) -> None:
    """Whole or not at all, with the rights that the file has."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{NAME}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(path.stat().st_mode & 0o777)
        require_unchanged(folder, base_digest)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def require_unchanged(folder: Path, base_digest: str) -> str:
    """The text of the manifest, when it is what *base_digest* says.

    Raises:
        Conflict: it is not.
    """
    text = read_text(folder)
    if digest_of_text(text) != base_digest:
        raise Conflict(
            f"{NAME} was changed since it was read.",
            hint="Read it again and make the change in what it says now.",
            field="base_digest",
        )
    return text


_OWN_COMMENTS = re.compile(r"(?:[ \t]*#[^\n]*\n)*(?=[ \t\r]*(?:\n|\Z))")
"""Lines of comments directly below a key, and nothing directly below them: else they are about what follows."""


def _with_new_key(document: Any, edit: ManifestEdit) -> Any:
    """The document with a new key below the last one of its table; None: there is none to be written so.

    A parser counts the comments that stand above the next table to this one; a person would write it before them.
    """
    table, key = tuple(edit.path[:-1]), edit.path[-1]
    parts = edit.value if isinstance(edit.value, list) else [edit.value]
    if edit.op != "set" or not table or any(part is None or isinstance(part, dict | list) for part in parts):
        return None
    where: Any = document
    for part in table:
        where = where.get(part) if isinstance(where, dict) else None
    if not isinstance(where, dict) or key in where:
        return None
    text = tomlkit.dumps(document)
    at = line_after(text, table)
    if at is None:
        return None
    own = _OWN_COMMENTS.match(text, at)
    at = own.end() if own else at
    line = tomlkit.dumps({key: edit.value})
    if text[at:].split("\n", 1)[0].strip():
        line += "\n"
    if text[:at].endswith("\r\n"):
        line = line.replace("\n", "\r\n")
    return tomlkit.parse(text[:at] + line + text[at:])


def _apply(document: Any, edit: ManifestEdit) -> None:
    if edit.op == "remove":
        table = _walk(document, edit.path[:-1], make=False)
        if edit.path[-1] not in table:
            raise LookupError(f"there is no {'.'.join(edit.path)}")
        del table[edit.path[-1]]
        return
    if edit.op == "set":
        _set(_walk(document, edit.path[:-1], make=True), edit.path[-1], edit.value)
        return
    _add_stage(document, _walk(document, ["stages"], make=True), _stage_of(edit), edit.value)


def _stage_of(edit: ManifestEdit) -> str:
    if len(edit.path) != 2 or edit.path[0] != "stages":
        raise ValueError('the path of a stage is ["stages", NAME]')
    return edit.path[1]


def _walk(document: Any, path: Sequence[str], *, make: bool) -> Any:
    table = document
    for number, part in enumerate(path):
        if part not in table:
            if not make:
                raise LookupError(f"there is no {'.'.join(path[: number + 1])}")
            # a table that only holds tables needs no line of its own
            table[part] = tomlkit.table(is_super_table=len(path) == 1 and path[0] in NAMED)
        table = table[part]
        if not isinstance(table, dict):
            raise TypeError(f"{'.'.join(path[: number + 1])} is no table")
    return table


def _set(table: Any, key: str, value: Any) -> None:
    _refuse_null(value)
    old = table.get(key)
    if isinstance(old, Array) and isinstance(value, list) and _rewrite(old, value):
        return
    if isinstance(value, dict) and not isinstance(old, Table):
        inline = tomlkit.inline_table()
        inline.update(value)
        value = inline
    table[key] = value


def _rewrite(array: Array, value: list[Any]) -> bool:
    """Change only the items that differ, so that the comments between the others stay; False when it cannot be."""
    old = array.unwrap()
    if any(isinstance(item, dict | list) for item in [*old, *value]):
        return False
    matcher = difflib.SequenceMatcher(a=[repr(item) for item in old], b=[repr(item) for item in value], autojunk=False)
    for tag, first, last, begin, end in reversed(matcher.get_opcodes()):
        if tag == "equal":
            continue
        same = min(last - first, end - begin)
        for number in range(same):
            array[first + number] = value[begin + number]  # in its place, where its comment is
        for _ in range(first + same, last):
            del array[first + same]
        for number in range(same, end - begin):
            array.insert(first + number, value[begin + number])
    return bool(array.unwrap() == value)


def _add_stage(document: Any, stages: Any, name: str, value: Any) -> None:
    if name in stages:
        raise ValueError(f"there is a stage {name!r} already")
    if not isinstance(value, dict):
        raise TypeError("the value of a new stage is a table of its keys")
    _refuse_null(value)
    table = tomlkit.table()
    for key, item in value.items():
        _set(table, key, item)
    if isinstance(stages, InlineTable):
        raise TypeError("the stages are written as one line; write each as a table of its own first")
    text = tomlkit.dumps(document)
    if text.strip() and not text.endswith("\n\n"):
        last = next(iter(list(stages.values())[-1:]), None)
        (last if isinstance(last, Table) else document).add(tomlkit.nl())
    stages[name] = table


def _renamed(text: str, old: str, new: Any) -> str:
    """The text with another name in the headers of a stage."""
    found = spots(text)
    if not isinstance(new, str) or any(spot.path[:2] == ("stages", new) for spot in found):
        raise ValueError(f"{new!r} is no free name of a stage")
    headers = [spot for spot in found if spot.header and spot.path[:2] == ("stages", old)]
    if not headers:
        raise LookupError(f"there is no [stages.{old}]")
    for spot in reversed(headers):
        header = text[spot.begin : spot.end]
        end = header.index(old, header.index("stages") + len("stages"))
        text = text[: spot.begin] + header[:end] + new + header[end + len(old) :] + text[spot.end :]
    return text


def _rename_after(document: Any, old: str, new: str) -> None:
    for stage in document["stages"].values():
        after = stage.get("after")
        if isinstance(after, Array) and old in after:
            _rewrite(after, [new if name == old else name for name in after])


def _refuse_null(value: Any) -> None:
    if value is None:
        raise ValueError("TOML has no null; remove the key instead")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_null(part)
