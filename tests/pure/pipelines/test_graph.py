"""Which stages come first, and which are meant."""

from __future__ import annotations

import pytest

from himalia_server.pipelines import Options
from himalia_server.pipelines.graph import Graph
from himalia_server.projects import parse_manifest
from himalia_server.service.problems import Invalid

TEXT = """
[project]
name = "g"
[stages.report]
notebook = "n.ipynb"
inputs = ["c", "b"]
[stages.a]
notebook = "n.ipynb"
outputs = ["a"]
[stages.b]
notebook = "n.ipynb"
inputs = ["a"]
outputs = ["b"]
[stages.c]
notebook = "n.ipynb"
inputs = ["a"]
outputs = ["c"]
[stages.alone]
notebook = "n.ipynb"
after = ["b"]
"""
GRAPH = Graph.of(parse_manifest(TEXT))


def selected(**options: list[str]) -> list[str]:
    return GRAPH.selected(Options.model_validate(options))


def test_each_comes_after_those_that_it_waits_for() -> None:
    assert GRAPH.order == ("a", "b", "c", "report", "alone")
    assert GRAPH.waits["report"] == {"b", "c"}
    assert GRAPH.maker == {"a": "a", "b": "b", "c": "c"}
    assert GRAPH.above(["report"]) == {"a", "b", "c", "report"}
    assert GRAPH.below(["b"]) == {"b", "report", "alone"}


def test_parts_are_meant_by_only_from_and_to() -> None:
    assert selected() == list(GRAPH.order)
    assert selected(only=["report", "a"]) == ["a", "report"]
    assert selected(**{"from": ["b"]}) == ["b", "report", "alone"]
    assert selected(to=["b", "c"]) == ["a", "b", "c"]
    assert selected(**{"from": ["b"]}, to=["report"]) == ["b", "report"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"only": ["raport"]}, "There is no stage 'raport'"),
        ({"from": ["x"]}, "There is no stage 'x'"),
        ({"only": ["a"], "to": ["b"]}, "neither"),
        ({"from": ["alone"], "to": ["a"]}, "No stage lies between alone and a"),
    ],
)
def test_what_cannot_be_meant_is_told(options: dict[str, list[str]], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        selected(**options)
