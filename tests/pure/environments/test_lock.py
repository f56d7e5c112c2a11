"""Locks: read, written, compared; nothing of one machine in them."""

from __future__ import annotations

import sys

import pytest

from himalia_server.environments.lock import (
    Entry,
    Lock,
    LockFault,
    environment_key,
    make_lock,
    parse_lock,
    parse_pylock,
)

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SOURCE = "sha256:" + "c" * 64
TEXT = f"""\
# made by somebody
--index-url https://packages.example/simple
zeta==1.0 \\
    --hash={B} \\
    --hash={A}
Alpha.Beta==2.0 ; python_version < '3.12' --hash={A}  # via zeta
"""


def test_a_lock_is_read_sorted_and_without_indexes() -> None:
    lock = parse_lock(TEXT)
    assert [entry.name for entry in lock.entries] == ["alpha-beta", "zeta"]
    assert lock.entries[1].hashes == (A, B)
    assert "packages.example" not in lock.text
    assert lock.source is None


def test_what_is_written_is_read_again() -> None:
    lock = make_lock(parse_lock(TEXT).entries, SOURCE)
    assert parse_lock(lock.text) == lock
    assert parse_lock(lock.text.replace("\n", "\r\n")) == lock  # as git gives it on another system


def test_the_digest_is_of_the_entries_only() -> None:
    lock = parse_lock(TEXT)
    assert lock.digest == Lock(lock.entries, SOURCE).digest
    assert lock.digest == parse_lock(TEXT.replace("made by somebody", "made by another")).digest
    assert lock.digest != parse_lock(TEXT.replace("zeta==1.0", "zeta==1.1")).digest
    assert lock.digest != parse_lock(TEXT.replace("a" * 64, "d" * 64)).digest


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("zeta>=1", "exact version"),
        ("zeta", "exact version"),
        ("zeta==1.*", "exact version"),
        ("-e ./zeta", "exact version"),
        ("./zeta-1.0.whl", "exact version"),
        ("zeta @ file:///home/ada/zeta-1.0.whl", "local path"),
        ("zeta @ https://ada:secret@packages.example/zeta-1.0.whl", "password"),
        ("zeta @ git+https://ghp_token@code.example/zeta", "password"),
    ],
)
def test_what_no_other_machine_could_use_is_refused(line: str, word: str) -> None:
    with pytest.raises(LockFault, match=word) as caught:
        parse_lock(line)
    assert "secret" not in str(caught.value)
    assert "ghp_token" not in str(caught.value)


def test_an_entry_belongs_to_some_machines_only() -> None:
    entry = parse_lock(f"tiny==1.0 ; sys_platform == '{sys.platform}' and python_version < '3.12'").entries[0]
    assert entry.applies("3.11.7")
    assert not entry.applies("3.12.0")
    assert not parse_lock("tiny==1.0 ; sys_platform == 'elsewhere'").entries[0].applies("3.11.7")
    assert Entry("tiny", "1.0", False, None, ()).applies("3.11.7")


def test_names_that_are_there_are_not_added_again() -> None:
    lock = parse_lock("alpha==1.0\nbeta==1.0")
    more = lock.plus(parse_lock("alpha==2.0\ngamma==1.0").entries, SOURCE)
    assert [entry.requirement for entry in more.entries] == ["alpha==1.0", "beta==1.0", "gamma==1.0"]


def test_a_pylock_is_read() -> None:
    text = f"""
lock-version = "1.0"
created-by = "somebody"
[[packages]]
name = "Zeta"
version = "1.0"
marker = "python_version < '3.12'"
sdist = {{ url = "https://packages.example/zeta.tar.gz", hashes = {{ sha256 = "{"a" * 64}" }} }}
wheels = [{{ url = "https://packages.example/zeta.whl", hashes = {{ sha256 = "{"b" * 64}" }} }}]
[[packages]]
name = "alpha"
[packages.vcs]
type = "git"
url = "https://code.example/alpha"
commit-id = "0123"
"""
    lock = parse_pylock(text)
    assert [entry.requirement for entry in lock.entries] == [
        "alpha @ git+https://code.example/alpha@0123",
        'zeta==1.0 ; python_version < "3.12"',
    ]
    assert lock.entries[1].hashes == (A, B)


@pytest.mark.parametrize(
    "package",
    [
        'name = "alpha"\nversion = "1.0\\n-e /srv/alpha"',
        'name = "alpha\\n-e /srv/alpha"\nversion = "1.0"',
        'name = "alpha"\nversion = "1.0"\nmarker = "x == \\n-e /srv"',
        'name = "alpha"\nversion = "1.0"\nmarker = "os_name == \\"a\\n-e /srv\\""',
        'name = "alpha"\nversion = "1.0"\nsdist = {hashes = {sha256 = "0\\n-e /srv"}}',
        'name = "alpha"\narchive = {url = "https://host/x\\n-e /srv", hashes = {}}',
    ],
)
def test_a_pylock_adds_no_line_to_what_is_installed(package: str) -> None:
    with pytest.raises(LockFault, match="is no "):
        parse_pylock(f"[[packages]]\n{package}\n")


@pytest.mark.parametrize(
    "text",
    [
        "packages = 3",
        "[[packages]]\nversion = '1'",
        "no toml",
        "[[packages]]\nname = 'a'\ndirectory = { path = '../a' }",
        "[[packages]]\nname = 'a'\narchive = { path = 'a.whl', hashes = { sha256 = '00' } }",
    ],
)
def test_a_pylock_that_is_none(text: str) -> None:
    with pytest.raises(LockFault):
        parse_pylock(text)


def test_the_key_covers_all_that_decides() -> None:
    keys = {
        environment_key("l", "/p", "3.11.7", None),
        environment_key("m", "/p", "3.11.7", None),
        environment_key("l", "/q", "3.11.7", None),
        environment_key("l", "/p", "3.11.8", None),
        environment_key("l", "/p", "3.11.7", "site"),
    }
    assert len(keys) == 5
    assert environment_key("l", "/p", "3.11.7", None) in keys
