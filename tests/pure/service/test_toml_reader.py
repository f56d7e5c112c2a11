"""TOML of others: nothing of it takes the service along."""

from __future__ import annotations

import resource
import tomllib
from collections.abc import Iterator

import pytest

from himalia_server.service.toml_reader import PARTS, read_toml

GIB = 1 << 30


@pytest.fixture
def bounded() -> Iterator[None]:
    """Memory that this process may take; a mistake ends in MemoryError, not in the end of other processes."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (6 * GIB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("part", ["a", '"a.\\""', "'x'", "a "])
@pytest.mark.parametrize("line", ["{} = 1", "[{}]", "[[{}]]", "x = [{{ {} = 1 }}]", 'y = """\n""", {} = 1'])
def test_a_key_of_very_many_parts_is_refused_at_its_line(bounded: None, part: str, line: str) -> None:
    text = "# one\n" + line.format(".".join([part] * 100_000))
    with pytest.raises(tomllib.TOMLDecodeError, match=r"more than 40 parts \(at line [23],"):
        read_toml(text)


def test_what_a_person_writes_is_no_such_key() -> None:
    key = ".".join(["a"] * PARTS)
    assert read_toml(f"[{key}]\n# {'.' * 500}\nx = '{'.' * 500}'\n")
    assert read_toml('v = "1.2.3"\nf = 1.5\n"a.b".c = 2') == {"v": "1.2.3", "f": 1.5, "a.b": {"c": 2}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = " + "[" * 100_000, "nested too deeply"),
        ("x = " + "9" * 5000, "limit"),
        ("x = ", "Invalid value"),
    ],
)
def test_all_that_cannot_be_read_is_one_kind_of_error(text: str, said: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError, match=said):
        read_toml(text)


@pytest.mark.parametrize("text", ['"' * 200_000, '"\\"' * 100_000, "'\"" * 100_000, "a" * 900_000, "a." * 30 + "\n"])
def test_looking_for_such_keys_takes_time_in_proportion(text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        read_toml(text)
