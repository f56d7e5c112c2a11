"""Templates of the team, when a record of one is damaged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from himalia_server.projects import Projects
from himalia_server.projects.models import ProjectCreate
from himalia_server.projects.templates import library
from himalia_server.service.problems import Conflict, Invalid, NotFound, Unavailable
from tests.pure.projects.conftest import ADA


@pytest.mark.parametrize("damage", ["{", "[]", '{"title": "x"}', '{"folder": 1}', b"\xff"])
def test_a_damaged_record_hides_its_template_and_harms_no_other(
    room: Projects, folders: Path, damage: str | bytes
) -> None:
    for name in ("good", "bad"):
        (folders / name).mkdir()
        (folders / name / "himalia.toml").write_text(f"[project]\nname = '{name}'\n")
        room.library.add(ADA, str(folders / name), None)
    record = room.context.site.home / "templates" / "bad.json"
    whole = record.read_bytes()
    record.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    shown = {view.name for view in room.templates()}
    assert ("good" in shown, "bad" in shown, "blank" in shown) == (True, False, True)
    room.library.remove(ADA, "good")  # what nobody names is swept, but nothing as long as it is not known
    record.write_bytes(whole)
    assert "bad" in {view.name for view in room.templates()}


@pytest.mark.parametrize(
    "text",
    [
        'data = "x"',
        "[data]\npackage = 5",
        '[data]\npackage = "antigravity.x"',
        '[data]\npackage = "..x"',
        '[data]\npackage = "numpy"\nfiles = 7',
        '[data]\npackage = "numpy"\nfiles = ["../../x"]',
        '[data]\npackage = "numpy"\nfiles = ["/etc/hostname"]',
        "x = " + "[" * 5000,
        ".".join(["a"] * 20_000) + " = 1",
    ],
)
def test_a_template_that_says_odd_things_is_refused_and_harms_no_other(
    room: Projects, folders: Path, text: str
) -> None:
    source = folders / "odd"
    source.mkdir()
    (source / "himalia.toml").write_text("[project]\nname = 'odd'\n")
    (source / "template.toml").write_text(text)
    with pytest.raises(Invalid, match=r"template\.toml"):
        room.library.add(ADA, str(source), None)
    assert {view.name for view in room.templates()} >= {"blank"}
    (source / "template.toml").unlink()
    view = room.library.add(ADA, str(source), None)
    kept = next((room.context.site.home / "templates").glob("*/himalia.toml")).with_name("template.toml")
    kept.write_text(text)  # as a version that did not look has kept it
    shown = {view.name: view for view in room.templates()}
    assert shown["blank"].available
    assert not shown[view.name].available
    assert f"himalia template update {view.name}" in str(shown[view.name].problem)
    with pytest.raises(Unavailable):
        room.make(ADA, ProjectCreate(name="pp", template=view.name))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Begin what clones a repository; what is returned lets it go on, and returns or raises what it does."""

    def begin(work: Callable[[], Any]) -> Callable[[], Any]:
        cloning, go_on, ended = threading.Event(), threading.Event(), []

        def fill(folder: Path, _told: object) -> None:
            folder.mkdir()
            (folder / "himalia.toml").write_text("[project]\nname = 'cloned'\n")
            cloning.set()
            assert go_on.wait(60)

        def run() -> None:
            try:
                ended.append((work(), None))
            except Exception as error:
                ended.append((None, error))

        def end() -> Any:
            go_on.set()
            thread.join(60)
            ((result, error),) = ended
            if error is not None:
                raise error
            return result

        monkeypatch.setattr(library, "clone", lambda _address, _stop: fill)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert cloning.wait(60)
        return end

    return begin


def test_a_clone_holds_nobody_up_and_replaces_nothing(
    room: Projects, folders: Path, slow: Callable[[Callable[[], Any]], Callable[[], Any]]
) -> None:
    source = folders / "quick"
    source.mkdir()
    (source / "himalia.toml").write_text("[project]\nname = 'quick'\n")
    kept = room.context.site.home / "templates"
    (kept / ".draft-of-a-killed-service").mkdir(parents=True)
    address = "https://git.example/cloned.git"

    def quickly(work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), "it waits for the clone"

    end = slow(lambda: room.library.add(ADA, address, "cloned"))
    quickly(lambda: room.library.add(ADA, str(source), None))
    assert "quick" in room.library.all()
    assert [path.name for path in kept.glob(".draft-of*")] == []
    quickly(lambda: room.library.remove(ADA, "quick"))
    assert end().name == "cloned"

    end = slow(lambda: room.library.add(ADA, address, "mine"))
    quickly(lambda: room.library.add(ADA, str(source), "mine"))
    with pytest.raises(Conflict, match="There is a template 'mine' already"):
        end()
    assert room.library.view("mine").source == str(source)

    end = slow(lambda: room.library.update(ADA, "cloned"))
    quickly(lambda: room.library.remove(ADA, "cloned"))
    with pytest.raises(NotFound, match="no template 'cloned' of its own"):
        end()
    assert list(kept.glob(".*")) == []
