"""The first guide: copied for its reader, run from top to bottom, and run again; its endpoint asked from a shell."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.site.guides import PROJECT, in_a_terminal, open_guide, text_of
from tests.site.lab import Lab

GUIDE = "from-nothing-to-a-deployed-model"
PURGE = {"remove_files": True, "purge": True}


@pytest.fixture(autouse=True)
def gone(lab: Lab) -> Iterator[None]:
    """Other tests of the session find the site as it was."""
    yield
    lab.request("DELETE", f"/projects/{PROJECT}", params=PURGE)


def opened(lab: Lab, **body: Any) -> dict[str, Any]:
    return open_guide(lab, GUIDE, **body)


@contextmanager
def person(lab: Lab) -> Iterator[list[str]]:
    """Somebody who clicks what the guide asks for; what was clicked."""
    clicked: list[str] = []
    gone = threading.Event()

    def click() -> None:
        while not gone.wait(0.3):
            for model in _items(lab, "models"):
                versions = model["versions"]  # none for a moment: the model is registered before its first version
                if versions and not any("champion" in version["aliases"] for version in versions):
                    version = versions[0]["version"]
                    path = f"/projects/{PROJECT}/models/{model['name']}/aliases/champion"
                    if lab.request("PUT", path, json={"version": version}).is_success:
                        clicked.append(f"champion {version}")
            for endpoint in _items(lab, "deployments"):
                version = endpoint["requested_version"]
                path = f"/projects/{PROJECT}/deployments/{endpoint['name']}/confirm"
                if version and lab.request("POST", path, json={"version": version}).is_success:
                    clicked.append(f"confirm {version}")

    thread = threading.Thread(target=click)
    thread.start()
    try:
        yield clicked
    finally:
        gone.set()
        thread.join()


def _items(lab: Lab, what: str) -> list[dict[str, Any]]:
    reply = lab.request("GET", f"/projects/{PROJECT}/{what}")
    return list(reply.json()["items"]) if reply.is_success else []  # 503: MLflow is starting


def run_all(file: Path, *left_out: str) -> dict[str, nbformat.NotebookNode]:
    """The cells by id, after all but those *left_out* were run in the kernel that the notebook names."""
    book = nbformat.read(file, as_version=4)
    book.cells = [cell for cell in book.cells if cell.id not in left_out]
    NotebookClient(
        book,
        timeout=240,
        kernel_name=book.metadata.kernelspec.name,
        resources={"metadata": {"path": str(file.parent)}},
    ).execute()
    return {cell.id: cell for cell in book.cells}


def test_the_copy_is_put_where_its_reader_sees_it_and_outlives_its_project(lab: Lab) -> None:
    lab.tracking_ready()  # which a project needs to be deleted
    shown = lab.root / "shown"
    shown.mkdir()
    copy = opened(lab, below=str(shown))
    file = shown / PROJECT / f"{GUIDE}.ipynb"
    assert (copy["notebook"], copy["created"], copy["title"]) == (str(file), True, "From nothing to a deployed model")
    assert nbformat.read(file, as_version=4).metadata.kernelspec.name == copy["project"]["kernelspec"]
    file.write_text(file.read_text().replace("# From nothing", "# My way from nothing"))
    assert lab.request("DELETE", f"/projects/{PROJECT}?purge=true").status_code == 204
    assert not opened(lab, below=str(shown))["created"]
    assert "# My way from nothing" in file.read_text()
    file.unlink()
    assert opened(lab)["created"], "what the reader has removed comes back when it is asked for"
    assert lab.request("DELETE", f"/projects/{PROJECT}", params=PURGE).status_code == 204
    (shown / PROJECT).mkdir()
    (shown / PROJECT / "thesis.txt").write_text("mine")
    copy = opened(lab, below=str(shown))
    usual = lab.home / "projects" / PROJECT
    assert Path(copy["notebook"]).parent == usual, "somebody else's folder was not taken"
    assert [path.name for path in (shown / PROJECT).iterdir()] == ["thesis.txt"]
    assert lab.request("DELETE", f"/projects/{PROJECT}", params=PURGE).status_code == 204


def test_a_guide_is_for_the_owner_of_the_site(lab: Lab) -> None:
    for purpose in ("kernel", "stage"):
        reply = lab.request("PUT", f"/guides/{GUIDE}", token=lab.token("tiny", "owner", purpose), json={})
        assert (reply.status_code, purpose in reply.text) == (403, True), reply.text
    reply = lab.request("PUT", f"/guides/{GUIDE}", headers={"X-Himalia-User": "ada"}, json={})
    assert reply.status_code == 403
    assert "a guest of its Jupyter server" in reply.json()["detail"]
    reply = lab.request("PUT", "/guides/from-nothing", json={})
    assert (reply.status_code, GUIDE in reply.json()["hint"]) == (404, True), reply.text
    for below in ("work", "", "/a\0b", "/" + 2000 * "x"):
        assert lab.request("PUT", f"/guides/{GUIDE}", json={"below": below}).status_code == 422, below
    assert lab.request("GET", f"/projects/{PROJECT}").status_code == 404


@pytest.mark.timeout(600)  # a busy machine starts a dozen processes slowly
def test_the_guide_makes_a_model_that_answers_from_outside(lab: Lab) -> None:
    lab.tracking_ready()
    copy = opened(lab)
    file = Path(copy["notebook"])
    assert copy["created"]
    assert sorted(path.name for path in file.parent.iterdir()) == [".himalia", file.name, "himalia.toml"]
    with person(lab) as clicked:
        cells = run_all(file)
    assert clicked == ["champion 1", "confirm 1"]
    assert "ready" in text_of(cells["deployed"])
    assert "answer" in text_of(cells["try"])
    answer = json.loads(in_a_terminal(text_of(cells["outside"]))[-1])
    assert len(answer["predictions"]) == 1
    assert answer["predictions"][0] in ("grape A", "grape B", "grape C")
    versions = lab.get(f"/projects/{PROJECT}/models")["items"][0]["versions"]
    assert {version["version"]: version["aliases"] for version in versions} == {"1": ["champion"], "2": []}

    # again, over what the first time has left, and over what the reader has changed
    train = file.with_name("02-train.ipynb")
    train.write_text(train.read_text().replace("C=0.1", "C=0.2"))
    file.write_text(file.read_text().replace("# From nothing", "# My way from nothing"))
    assert opened(lab) == copy | {"created": False, "project": opened(lab)["project"]}
    with person(lab) as clicked:
        cells = run_all(file, "run", "change")  # the pipeline itself has run twice already
    assert clicked == ["confirm 1"]
    assert "C=0.2" in train.read_text()
    assert cells["start"].source.startswith("# My way")
    assert "stays as it is" in text_of(cells["train"])
    assert lab.get(f"/projects/{PROJECT}/clusters")["items"] == []
