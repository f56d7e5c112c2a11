"""One site for the whole session; tests that harm it get one of their own.

With HIMALIA_TEST_POSTGRESQL set, its store is in PostgreSQL.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.postgresql import running_postgresql
from tests.site.lab import TRAIN, Lab, running_lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A running site with a small project `tiny`, whose pipeline makes a model, and an empty one, `other`."""
    with ExitStack() as stack:
        variables = {}
        if os.environ.get("HIMALIA_TEST_POSTGRESQL"):
            variables["HIMALIA_DATABASE_URL"] = stack.enter_context(running_postgresql()).database()
        made = stack.enter_context(running_lab(**variables))
        made.project(
            "tiny",
            {
                "make": {"notebook": "make.ipynb", "params": {"n": 3}, "outputs": ["build/n.json"]},
                "train": {"notebook": "train.ipynb", "inputs": ["build/n.json"], "outputs": ["build/model.json"]},
            },
            {
                "make.ipynb": ["n: int = 1", "import json, pathlib", "pathlib.Path('build/n.json').write_text(str(n))"],
                "train.ipynb": ["seed = 1", TRAIN],
            },
        )
        made.project("other", {}, {})
        yield made


@pytest.fixture(scope="module")
def ready(lab: Lab) -> Lab:
    """The running site, with MLflow up."""
    lab.tracking_ready()
    return lab
