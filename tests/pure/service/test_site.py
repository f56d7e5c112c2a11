"""A site's folder and settings."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from himalia_server.service.site import Site, SiteError, write_private


def test_many_at_once_make_one_site(tmp_path: Path) -> None:
    found: list[Site] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        barrier.wait()
        found.append(Site.open(tmp_path / "home"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(site.id, site.secret) for site in found}) == 1
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["site.json"]


def test_what_is_secret_is_private(tmp_path: Path) -> None:
    site = Site.open(tmp_path / "home")
    site.prepare()
    assert stat.S_IMODE(site.home.stat().st_mode) == 0o700
    assert stat.S_IMODE((site.home / "site.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(site.runtime.stat().st_mode) == 0o700
    site.runtime.rmdir()


def test_who_takes_the_runtime_folder_first_does_not_stop_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    site = Site.open(tmp_path / "home")
    taken = site.runtime
    taken.symlink_to(tmp_path)
    try:
        site.prepare()
        chosen = site.runtime
        assert chosen.parent == taken.parent
        assert chosen != taken
        assert chosen.stat().st_mode & 0o777 == 0o700
        site.prepare()
        assert site.runtime == chosen
        chosen.rmdir()
    finally:
        taken.unlink()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[service]\nprot = 1\n", "unknown setting [service] prot"),
        ("[service]\nport = 70000\n", "0 to 65535"),
        ("[service]\nport = 'x'\n", "0 to 65535"),
        ("service = 3\n", "unknown setting"),
        ("[service\n", "cannot be read"),
    ],
)
def test_faulty_settings_are_told(tmp_path: Path, text: str, says: str) -> None:
    site = Site.open(tmp_path / "home")
    (site.home / "settings.toml").write_text(text)
    with pytest.raises(SiteError) as caught:
        site.settings()
    assert says in str(caught.value)


def test_settings(tmp_path: Path) -> None:
    site = Site.open(tmp_path / "home")
    assert site.settings().service_port == 0
    (site.home / "settings.toml").write_text("[gateway]\nport = 8800\n")
    assert site.settings().gateway_port == 8800


def test_a_broken_identity_is_told(tmp_path: Path) -> None:
    site = Site.open(tmp_path / "home")
    (site.home / "site.json").write_text(json.dumps({"id": "x"}))
    with pytest.raises(SiteError, match="cannot be used"):
        Site.open(tmp_path / "home")


def test_write_private_replaces_whole(tmp_path: Path) -> None:
    write_private(tmp_path / "f", "one")
    write_private(tmp_path / "f", "two")
    assert (tmp_path / "f").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
