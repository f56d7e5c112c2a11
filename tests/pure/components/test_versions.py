"""Order of versions, and the next one."""

from __future__ import annotations

import pytest

from himalia_server.components.versions import newest, next_free, ordered


def test_order() -> None:
    assert ordered(["1.10", "1.9", "1.9rc1", "0.1", "2-odd-one"]) == ["2-odd-one", "0.1", "1.9rc1", "1.9", "1.10"]


def test_newest_is_no_preview() -> None:
    assert newest(["1.0", "1.1rc1"]) == "1.0"
    assert newest(["1.1rc1"]) == "1.1rc1"
    assert newest([]) is None


@pytest.mark.parametrize(
    ("version", "taken", "free"),
    [
        ("1.2", ["1.2"], "1.3"),
        ("1.9", ["1.9", "1.10"], "1.11"),
        ("1.0rc1", ["1.0rc1"], "1.0rc2"),
        ("3", ["3", "4"], "5"),
        ("1.0-b", ["1.0-b"], "1.1-b"),
    ],
)
def test_next_free(version: str, taken: list[str], free: str) -> None:
    assert next_free(version, taken) == free
