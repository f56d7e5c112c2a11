"""Backups of a site: whole or refused; restored as they were."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import tarfile
import zlib
from pathlib import Path

import pytest

from himalia_server.locking import exclusive
from himalia_server.service.backup import INDEX, BackupError, Summary, back_up, restore
from himalia_server.service.context import open_store
from himalia_server.service.journal import audit, verify_chain
from himalia_server.service.site import Settings, Site
from himalia_server.store import AuditRow, Deployment, Project, Revision, User


def quiet(_text: str) -> None:
    """No display."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with a project inside it, an endpoint, content, a link and a draft."""
    site = Site.open(tmp_path / "site")
    site.prepare()
    folder = site.home / "projects" / "one"
    folder.mkdir(parents=True)
    (folder / "himalia.toml").write_text("[project]\nname = 'One'\n")
    (folder / "run.sh").write_text("true\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "passwords").symlink_to("/etc/passwd")
    store = open_store(site, Settings())
    store.migrate()
    with store.write() as session:
        session.add(User(name="ada", site_role="admin"))
        session.flush()
        project = Project(slug="one", path=str(folder), python="python", kernelspec="one", created_by="ada")
        session.add(project)
        session.flush()
        endpoint = Deployment(project_id=project.id, name="one", state="ready", created_by="ada")
        session.add(endpoint)
        session.flush()
        session.add(
            Revision(
                deployment_id=endpoint.id,
                number=1,
                model_name="one",
                model_version="1",
                model_digest="sha256:1",
                model_path=str(site.home / "models" / "a"),
                weight=100,
                created_by="ada",
            )
        )
        for number in range(20):
            audit(session, actor="ada", purpose="user", action="try", subject=str(number))
    store.close()
    with sqlite3.connect(site.tracking_database) as tracking:
        tracking.execute("CREATE TABLE runs (id)")
    for name in ("content/ab/cd", "content/incoming/half", "models/a/MLmodel", "mlflow-artifacts/1/plot.png"):
        path = site.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 1000)
    (site.home / "settings.toml").write_text("[events]\ndays = 3\n")
    return site


def names(archive: Path) -> set[str]:
    """What is in it."""
    with tarfile.open(archive) as members:
        return set(members.getnames())


def test_all_that_belongs_to_the_site_comes_back(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "b.tar.gz"
    made = back_up(site, archive, with_projects=False, progress=quiet)
    assert archive.stat().st_mode & 0o777 == 0o600
    assert names(archive) == {
        "himalia.db",
        "mlflow.db",
        "site.json",
        "settings.toml",
        "remembered.json",
        "content/ab/cd",
        "models/a/MLmodel",
        "mlflow-artifacts/1/plot.png",
        INDEX,
    }
    home = tmp_path / "elsewhere"
    found = restore(archive, home, replace=False, progress=quiet)
    assert found == made
    assert (found.site, found.projects, found.files) == (site.id, ["one"], 8)
    fresh = Site.open(home)
    assert (fresh.id, fresh.secret, fresh.settings().event_days) == (site.id, site.secret, 3)
    assert (home / "content/ab/cd").read_bytes() == (site.home / "content/ab/cd").read_bytes()
    store = open_store(fresh, Settings())
    with store.read() as session:
        rows = list(session.query(AuditRow).order_by(AuditRow.seq))
        assert len(rows) == 20
        assert verify_chain(rows) is None
        assert session.query(Revision).one().model_path == str(home / "models" / "a")
        # a project below the site's folder is expected below the new one
        assert session.query(Project).one().path == str(home / "projects" / "one")
    store.close()
    assert not list(home.glob(".*"))
    assert home.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "elsewhere", "site"]


def test_projects_come_back_on_request_and_links_do_not(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "b.tar.gz"
    back_up(site, archive, with_projects=True, progress=quiet)
    home = tmp_path / "elsewhere"
    restore(archive, home, replace=False, progress=quiet)
    folder = home / "projects" / "one"
    assert sorted(path.name for path in folder.iterdir()) == ["himalia.toml", "run.sh"]
    assert (folder / "run.sh").stat().st_mode & 0o777 == 0o700


def test_a_folder_outside_the_site_is_put_back_only_where_nothing_is(site: Site, tmp_path: Path) -> None:
    outside = tmp_path / "mine"
    outside.mkdir()
    (outside / "himalia.toml").write_text("[project]\nname = 'Mine'\n")
    store = open_store(site, Settings())
    with store.write() as session:
        session.query(Project).one().path = str(outside)
    store.close()
    archive = tmp_path / "b.tar.gz"
    back_up(site, archive, with_projects=True, progress=quiet)
    (outside / "himalia.toml").write_text("newer")
    restore(archive, tmp_path / "first", replace=False, progress=quiet)
    assert (outside / "himalia.toml").read_text() == "newer"
    outside.rename(tmp_path / "aside")
    restore(archive, tmp_path / "second", replace=False, progress=quiet)
    assert "Mine" in (outside / "himalia.toml").read_text()


def test_a_site_that_is_there_is_moved_aside_only_on_request(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "b.tar.gz"
    back_up(site, archive, with_projects=False, progress=quiet)
    with pytest.raises(BackupError, match="--replace"):
        restore(archive, site.home, replace=False, progress=quiet)
    (site.home / "content/ab/cd").write_text("changed since")
    restore(archive, site.home, replace=True, progress=quiet)
    assert (site.home / "content/ab/cd").read_text().startswith("content")
    (aside,) = tmp_path.glob("site.before-restore-*")
    assert (aside / "content/ab/cd").read_text() == "changed since"


def test_a_site_in_use_is_not_replaced(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "b.tar.gz"
    back_up(site, archive, with_projects=False, progress=quiet)
    with exclusive(site.home / "service.lock", 1), pytest.raises(BackupError, match="himalia down"):
        restore(archive, site.home, replace=True, progress=quiet)


def refused(archive: Path, home: Path) -> str:
    """Why an archive is refused; nothing may be left of the try."""
    with pytest.raises(BackupError) as caught:
        restore(archive, home, replace=False, progress=quiet)
    assert not home.exists()
    assert not list(home.parent.glob(".*restoring*"))
    return str(caught.value)


def gunzipped(file: Path) -> bytes | None:
    """What is in a gzip file; None when it is damaged."""
    try:
        return gzip.decompress(file.read_bytes())
    except (gzip.BadGzipFile, zlib.error, EOFError):
        return None


def test_an_archive_that_was_cut_off_or_changed_is_refused(site: Site, tmp_path: Path) -> None:
    archive, bad, home = tmp_path / "b.tar.gz", tmp_path / "bad.tar.gz", tmp_path / "elsewhere"
    back_up(site, archive, with_projects=True, progress=quiet)
    whole = archive.read_bytes()
    unpacked = gzip.decompress(whole)
    for part in range(0, len(whole) - 9, len(whole) // 23):
        bad.write_bytes(whole[:part])
        assert "no whole backup" in refused(bad, home)
    for place in range(20, len(whole) - 9, len(whole) // 23):
        bad.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if gunzipped(bad) != unpacked:  # repeated text can be packed in two ways
            assert "no whole backup" in refused(bad, home)
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        spans = [(member.offset_data, member.offset_data + member.size) for member in tar]
    for place in range(600, unpacked.index(INDEX.encode()), 1777):  # and with gzip's checksum made right again
        flipped = unpacked[:place] + bytes([unpacked[place] ^ 1]) + unpacked[place + 1 :]
        if any(begin <= place < end for begin, end in spans):  # not in what fills up a block
            bad.write_bytes(gzip.compress(flipped, 1))
            assert "whole backup" in (said := refused(bad, home)) or "damaged" in said
    # cut off between two members, and closed as if that were its end
    bad.write_bytes(gzip.compress(unpacked[: unpacked.index(INDEX.encode())] + b"\0" * 1024))
    assert "cut off" in refused(bad, home)
    assert "no file" in refused(tmp_path / "none", home)
    bad.write_text("hello")
    assert "no whole backup" in refused(bad, home)


def rewritten(archive: Path, target: Path, **changes: object) -> Path:
    """The archive with another index."""
    with tarfile.open(archive) as members, tarfile.open(target, "w:gz") as copy:
        for member in members:
            file = members.extractfile(member)
            assert file is not None
            if member.name == INDEX:
                data = json.dumps(json.load(file) | changes).encode()
                member.size = len(data)
                target_file = target.with_suffix(".json")
                target_file.write_bytes(data)
                with target_file.open("rb") as changed:
                    copy.addfile(member, changed)
            else:
                copy.addfile(member, file)
    return target


def test_an_archive_of_a_newer_himalia_is_refused(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "b.tar.gz"
    back_up(site, archive, with_projects=False, progress=quiet)
    newer = rewritten(archive, tmp_path / "n.tar.gz", format=2, version="9.0")
    assert "newer Himalia (9.0)" in refused(newer, tmp_path / "elsewhere")


@pytest.mark.parametrize("place", ["{home}/projects/../../up", "relative/up", "{home}/../up"])
def test_a_path_in_the_database_cannot_lead_out_of_the_site(site: Site, tmp_path: Path, place: str) -> None:
    store = open_store(site, Settings())
    with store.write() as session:
        session.query(Project).one().path = place.format(home=site.home)
    store.close()
    (tmp_path / "up").mkdir()
    archive = tmp_path / "b.tar.gz"
    back_up(site, archive, with_projects=True, progress=quiet)
    assert "damaged" in refused(archive, tmp_path / "elsewhere")
    assert not list((tmp_path / "up").iterdir())


def test_a_target_that_is_there_is_left_alone(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"
    target.write_text("precious")
    with pytest.raises(BackupError, match="there already"):
        back_up(site, target, with_projects=False, progress=quiet)
    assert target.read_text() == "precious"


def test_a_site_without_data_has_nothing_to_back_up(tmp_path: Path) -> None:
    site = Site.open(tmp_path / "site")
    site.prepare()
    with pytest.raises(BackupError, match="no data"):
        back_up(site, tmp_path / "b.tar.gz", with_projects=False, progress=quiet)
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_summary_tells_what_is_in_it(site: Site, tmp_path: Path) -> None:
    made = back_up(site, tmp_path / "b.tar.gz", with_projects=True, progress=quiet)
    assert isinstance(made, Summary)
    with tarfile.open(tmp_path / "b.tar.gz") as members:
        file = members.extractfile(INDEX)
        assert file is not None
        index = json.load(file)
    assert made.size == sum(entry["size"] for entry in index["entries"].values())
    assert made.home == str(site.home)
