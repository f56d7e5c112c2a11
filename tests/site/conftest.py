"""One site for the whole session; tests that harm it get one of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.site.lab import TRAIN, Lab, running_lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A running site with a small project `tiny`, whose pipeline makes a model."""
    with running_lab() as made:
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
        yield made
