"""The keys of secrets in a backup: with them a site on a new machine can open what it holds."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from himalia_server.service import backup
from himalia_server.service.context import open_store
from himalia_server.service.keyring import FILE, Keyring
from himalia_server.service.site import Settings, Site


def quiet(_text: str) -> None:
    """No display."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site.open(tmp_path / "site")
    site.prepare()
    store = open_store(site, Settings())
    store.migrate()
    store.close()
    return site


def test_the_keys_come_back_private(site: Site, tmp_path: Path) -> None:
    keys = Keyring({}).with_new()
    keys.write(site.home / FILE)
    archive = tmp_path / "a.tar.gz"
    backup.back_up(site, archive, with_projects=False, progress=quiet)
    assert archive.stat().st_mode & 0o077 == 0
    backup.restore(archive, tmp_path / "new", replace=False, progress=quiet)
    assert Keyring.read(tmp_path / "new" / FILE) == keys


def test_a_rotation_during_the_backup_leaves_both(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Keyring({}).with_new()
    before.write(site.home / FILE)
    after = before.with_new().newest()
    copy = backup.copy_to_file

    def rotate(*args: object) -> None:
        copy(*args)  # type: ignore[arg-type]
        after.write(site.home / FILE)

    monkeypatch.setattr(backup, "copy_to_file", rotate)
    archive = tmp_path / "a.tar.gz"
    backup.back_up(site, archive, with_projects=False, progress=quiet)
    backup.restore(archive, tmp_path / "new", replace=False, progress=quiet)
    found = Keyring.read(tmp_path / "new" / FILE)
    assert list(found.keys) == [*after.keys, *before.keys]


def test_without_secrets_there_is_no_key(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    backup.back_up(site, archive, with_projects=False, progress=quiet)
    with tarfile.open(archive) as members:
        assert FILE not in members.getnames()


def test_a_key_that_is_open_to_others_is_told(site: Site, tmp_path: Path) -> None:
    Keyring({}).with_new().write(site.home / FILE)
    (site.home / FILE).chmod(0o644)
    with pytest.raises(backup.BackupError, match="chmod 600"):
        backup.back_up(site, tmp_path / "a.tar.gz", with_projects=False, progress=quiet)
    assert not (tmp_path / "a.tar.gz").exists()
