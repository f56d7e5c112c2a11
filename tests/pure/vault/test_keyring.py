"""Secrets at rest: what a stolen database, a swapped row, a changed byte or an interrupted rotation can do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from himalia_server.service.keyring import OVERHEAD, Keyring, KeyringError, Unsealable


@pytest.fixture
def keys() -> Keyring:
    return Keyring({}).with_new()


@pytest.mark.parametrize("text", ["x", "ü" * 30, "line\nline\t\x01", "a" * 65536])
def test_what_is_sealed_is_opened(keys: Keyring, text: str) -> None:
    sealed = keys.seal(text, "project", "NAME")
    assert keys.open(sealed, "project", "NAME") == text
    assert len(sealed) == len(text.encode()) + OVERHEAD
    assert text.encode() not in sealed or len(text) < 4


def test_the_same_text_is_sealed_differently_each_time(keys: Keyring) -> None:
    assert len({keys.seal("same", "p", "N") for _ in range(50)}) == 50


@pytest.mark.parametrize("place", [("other", "NAME"), ("project", "OTHER"), ("projectNAME", ""), ("project",)])
def test_a_row_cannot_be_put_in_anothers_place(keys: Keyring, place: tuple[str, ...]) -> None:
    sealed = keys.seal("text", "project", "NAME")
    with pytest.raises(Unsealable, match="moved"):
        keys.open(sealed, *place)


def test_each_changed_byte_is_noticed(keys: Keyring) -> None:
    sealed = keys.seal("text", "p", "N")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(Unsealable):
            keys.open(bytes(changed), "p", "N")
    for short in (b"", sealed[:10], sealed[:-1], sealed + b"x"):
        with pytest.raises(Unsealable):
            keys.open(short, "p", "N")


def test_another_sites_key_opens_nothing(keys: Keyring) -> None:
    with pytest.raises(Unsealable, match="key"):
        Keyring({}).with_new().open(keys.seal("text", "p", "N"), "p", "N")


def test_the_file_is_private_and_keeps_the_order(tmp_path: Path, keys: Keyring) -> None:
    file = tmp_path / "secrets.key"
    both = keys.with_new()
    both.write(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(Keyring.read(file).keys) == list(both.keys)
    assert Keyring.read(file) == both
    assert Keyring.read(tmp_path / "absent") == Keyring({})


def test_a_file_that_is_open_to_others_or_damaged_is_refused(tmp_path: Path, keys: Keyring) -> None:
    file = tmp_path / "secrets.key"
    keys.write(file)
    file.chmod(0o640)
    with pytest.raises(KeyringError, match="chmod 600"):
        Keyring.read(file)
    good = json.loads(file.read_text())
    for bad in (
        "",
        "{}",
        "[]",
        '{"keys": [{"id": "zz", "key": ""}]}',
        json.dumps(good).replace(good["keys"][0]["id"], "ab"),
    ):
        file.write_text(bad)
        file.chmod(0o600)
        with pytest.raises(KeyringError, match="backup"):
            Keyring.read(file)


def test_a_rotation_opens_the_old_until_it_ends(keys: Keyring) -> None:
    old = keys.seal("text", "p", "N")
    both = keys.with_new()
    assert not both.uses_newest(old)
    assert both.open(old, "p", "N") == "text"
    fresh = both.seal("text", "p", "N")
    assert both.uses_newest(fresh)
    with pytest.raises(Unsealable):
        both.newest().open(old, "p", "N")
    assert both.newest().open(fresh, "p", "N") == "text"
    # a backup during a rotation has the keys of before and after
    assert both.newest().merged(keys).open(old, "p", "N") == "text"
    assert next(iter(both.newest().merged(keys).keys)) == next(iter(both.keys))
