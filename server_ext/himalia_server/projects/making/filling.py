"""What fills the folder of a new project: a template, a git repository, an archive, another project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tomllib import TOMLDecodeError

import tomlkit
from tomlkit.exceptions import TOMLKitError

from ...service.toml_reader import read_toml
from ..manifest import DIRECTIVE, NAME

Progress = Callable[[str, int | None], None]
"""Told a step in words and, when it is known, how much of it is done (percent)."""
Fill = Callable[[Path, Progress], None]
"""Fills a new folder."""
MINIMAL = (
    DIRECTIVE
    + """
[project]
name = {name}

# A stage is a notebook that runs in a clean kernel, with the parameters that are given here:
# [stages.prepare]
# notebook = "01-prepare.ipynb"
# outputs = ["build/table.parquet"]
"""
)


def write_minimal(folder: Path, name: str) -> bool:
    """Write a small manifest where there is none; whether it was written.

    Raises:
        OSError: it cannot be.
    """
    try:
        file = (folder / NAME).open("x", encoding="utf-8")
    except FileExistsError:
        return False
    with file:
        file.write(MINIMAL.format(name=tomlkit.string(name).as_string()))
    return True


def set_name(folder: Path, name: str) -> None:
    """Have the manifest of a new project say *name*, and say where its schema is."""
    path = folder / NAME
    text = path.read_text(encoding="utf-8")
    try:
        read_toml(text)  # which refuses what no reader can hold
        document = tomlkit.parse(text)
        document["project"]["name"] = name
    except (TOMLDecodeError, TOMLKitError, LookupError, TypeError):
        return  # a fault that the project itself will tell
    text = tomlkit.dumps(document)
    path.write_text(text if text.startswith("#:schema") else DIRECTIVE + "\n" + text, encoding="utf-8")
