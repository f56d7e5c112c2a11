"""Runs of pipelines as tests start and read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

from tests.site.lab import Lab

Json = dict[str, Any]


def stage(run: Json, name: str) -> Json:
    return next(entry for entry in run["stages"] if entry["name"] == name)


def statuses(run: Json) -> dict[str, str]:
    return {entry["name"]: entry["status"] for entry in run["stages"]}


def begin(lab: Lab, slug: str, **body: Any) -> str:
    return str(lab.post(f"/projects/{slug}/runs", body)["id"])


def run(lab: Lab, slug: str, **body: Any) -> Json:
    return lab.wait_run(slug, begin(lab, slug, **body))


def states(lab: Lab, slug: str) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in lab.get(f"/projects/{slug}/pipeline")["stages"]}


def edit(path: Path, change: Callable[[Any], None]) -> None:
    book = nbformat.read(path, as_version=4)
    change(book)
    nbformat.write(book, path)
