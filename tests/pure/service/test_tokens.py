"""Tokens: hashed, expiring, renewed, revoked."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from himalia_server.service import tokens
from himalia_server.store import Database, Token, User, now


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "himalia.db", tmp_path)
    made.migrate()
    with made.write() as session:
        session.add(User(name="ada"))
    return made


def issue(database: Database, file: Path, seconds: float | None = 60) -> str:
    with database.write() as session:
        tokens.issue(session, purpose="kernel", user="ada", seconds=seconds, file=file)
    return file.read_text().strip()


def test_a_token_is_private_and_stored_as_a_hash(database: Database, tmp_path: Path) -> None:
    text = issue(database, tmp_path / "t")
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o600
    assert text.encode() not in (tmp_path / "himalia.db").read_bytes() + (tmp_path / "himalia.db-wal").read_bytes()
    with database.read() as session:
        assert tokens.find(session, text) is not None
        assert tokens.find(session, text + "x") is None
        assert tokens.find(session, "") is None


def test_an_expired_token_is_none(database: Database, tmp_path: Path) -> None:
    text = issue(database, tmp_path / "t", seconds=-1)
    with database.read() as session:
        assert tokens.find(session, text) is None


def test_a_renewed_token_overlaps_with_the_old_one(database: Database, tmp_path: Path) -> None:
    old = issue(database, tmp_path / "t", seconds=36000)
    with database.write() as session:
        row = tokens.find(session, old)
        assert row is not None
        tokens.renew(session, row, 36000)
    new = (tmp_path / "t").read_text().strip()
    assert new != old
    with database.read() as session:
        assert tokens.find(session, new) is not None
        still = tokens.find(session, old)
        assert still is not None
        assert (still.expires_at or 0) <= now() + tokens.OVERLAP_SECONDS


def test_a_revoked_token_is_none_and_its_file_gone(database: Database, tmp_path: Path) -> None:
    text = issue(database, tmp_path / "t")
    with database.write() as session:
        row = session.query(Token).one()
        tokens.revoke(session, row)
    assert not (tmp_path / "t").exists()
    with database.read() as session:
        assert tokens.find(session, text) is None
