"""The client: what it asks of the service, and what it says."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import pytest

import himalia
from himalia._connection import endpoint_name
from himalia._display import size
from himalia_server.clusters.models import ClusterCreate
from himalia_server.pipelines.models import RunCreate
from himalia_server.pipelines.requests import Options
from himalia_server.projects.manifest.models import ManifestPatch
from tests.pure.kernels.fake_service import SLUG, FakeService, new_cluster, write_private


def test_project_shows_as_text_and_as_escaped_html(granted: FakeService) -> None:
    project = himalia.project()
    assert (project.slug, project.role, project.stages[0].notebook) == (SLUG, "contributor", "01-prepare.ipynb")
    assert "Project Flights <b>" in repr(project)
    assert "Flights &lt;b&gt;" in project._repr_html_()


def test_clusters_from_start_to_stop(granted: FakeService) -> None:
    assert "%cluster start" in repr(himalia.clusters())
    cluster = himalia.start_cluster("shared", workers=2)
    assert granted.calls("POST", "/clusters") == [{"name": "shared", "workers": 2}]
    himalia.start_cluster("large", memory_limit=2 << 30)
    asked = granted.calls("POST", "/clusters")[1]
    assert ClusterCreate.model_validate(asked).memory_limit == "2147483648B"
    himalia.connect().stop_cluster("large")
    assert cluster.scale(5).workers == 5
    assert "shared" in repr(himalia.clusters())
    assert "<table>" in himalia.clusters()._repr_html_()
    cluster.stop()
    assert (cluster.refresh().state, len(himalia.clusters())) == ("stopped", 0)


def test_default_cluster_is_the_kernels_own(granted: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    granted.clusters |= {"a": new_cluster("a"), "b": new_cluster("b")}
    monkeypatch.setenv("HIMALIA_CLUSTER", "b")
    assert himalia.connect().default_cluster().name == "b"


def test_deploy_and_runs(granted: FakeService) -> None:
    assert himalia.deploy("models:/NYC Flights@champion").name == "nyc-flights"
    assert himalia.deploy("models:/flights/3", name="eu").model_version == "3"
    assert granted.calls("POST", "/deployments")[1] == {"name": "eu", "model": "models:/flights/3"}
    assert himalia.runs()[0].id == "r1"
    assert himalia.start_run({"train": {"seed": 7}}).state == "pending"
    assert granted.calls("POST", "/runs") == [{"params": {"train": {"seed": 7}}}]


def test_a_run_is_started_of_some_stages_only(granted: FakeService) -> None:
    himalia.start_run({"a": {"n": 1}}, only=["a"], from_=("b",), to=["c"], force=True, keep_going=True, parallel=2)
    assert [RunCreate.model_validate(body) for body in granted.calls("POST", "/runs")] == [
        RunCreate(
            params={"a": {"n": 1}},
            options=Options.model_validate(
                {"only": ["a"], "from": ["b"], "to": ["c"], "force": True, "keep_going": True, "parallel": 2}
            ),
        )
    ]
    with pytest.raises(TypeError, match=r"only is a list of stages: \['train'\]"):
        himalia.start_run(only="train")
    assert himalia.connect().run("r2").cancel().state == "cancelled"


def test_the_pipeline_shows_what_a_run_would_do(granted: FakeService) -> None:
    granted.stages["<new>"] = "n.ipynb"
    shown = himalia.pipeline()
    assert [stage.state for stage in shown] == ["up_to_date", "new"]
    assert re.search(r"prepare +unchanged +unchanged +1970-01-01 .*, took 3.2 s", repr(shown))
    assert re.search(r"<new> +would run, for the first time +it has not run yet +–", repr(shown))
    assert "<td>&lt;new&gt;</td>" in shown._repr_html_()
    granted.stages.clear()
    assert "%stage --add NAME" in repr(himalia.pipeline())


def test_an_edit_of_the_manifest_is_made_in_what_it_says_now(granted: FakeService) -> None:
    granted.rivals = 2
    assert himalia.connect().add_stage("train", {"notebook": "t.ipynb"}).name == "train"
    sent = granted.calls("PATCH", "/manifest")
    assert [ManifestPatch.model_validate(body).base_digest[-1] for body in sent] == ["0", "1", "2"]
    granted.rivals = 3
    with pytest.raises(himalia.HimaliaError, match="Try again"):
        himalia.connect().set_stage("train", [(["retries"], 2)])


def test_a_run_is_waited_for_and_shows_its_stages(granted: FakeService) -> None:
    granted.undecided = 2
    run = himalia.connect().run("good")
    assert run.state == "running"
    done = run.wait()
    assert done.state == "succeeded"
    assert "prepare  succeeded  3.2 s" in repr(done)
    assert "<td>prepare</td><td>succeeded</td>" in done._repr_html_()


def test_a_run_that_fails_says_which_stage_why_and_what_to_do(granted: FakeService) -> None:
    run = himalia.connect().run("bad")
    assert "<b>" not in run._repr_html_().replace("<strong>", "")
    with pytest.raises(himalia.HimaliaError, match=r"stage train: ValueError: no .*Give it some\."):
        run.wait()


def test_waiting_for_a_person_is_bounded_and_says_what_to_click(granted: FakeService) -> None:
    granted.undecided = 3
    model = himalia.model("delay")
    assert [version.version for version in model.versions] == ["10", "9"]
    assert model.version("champion") is None
    with pytest.raises(himalia.HimaliaError, match=r"under Models.*himalia model alias delay champion"):
        model.wait_for("champion", timeout=0)
    chosen = model.wait_for("champion").version("champion")
    assert chosen is not None
    assert chosen.version == "10"
    with pytest.raises(himalia.HimaliaError, match="no model 'none'"):
        himalia.model("none")


def test_an_endpoint_is_confirmed_then_asked(granted: FakeService) -> None:
    granted.undecided = 2
    endpoint = himalia.deployment("delay")
    assert endpoint.requested_version == "10"
    with pytest.raises(himalia.HimaliaError, match=r"under Deployments"):
        endpoint.wait(timeout=0)
    endpoint = endpoint.wait()
    assert endpoint.state == "ready"
    assert endpoint.predict([{"hour": 7}]) == ["late"]
    pandas = pytest.importorskip("pandas")
    endpoint.predict(pandas.DataFrame({"hour": [7, 8], "origin": ["JFK", None]}, index=[5, 6]))
    assert granted.calls("POST", "/predict") == [
        {"dataframe_records": [{"hour": 7}]},
        {"dataframe_split": {"columns": ["hour", "origin"], "data": [[7, "JFK"], [8, None]]}},
    ]
    with pytest.raises(himalia.HimaliaError, match="list of dicts"):
        endpoint.predict({"hour": 7})
    with pytest.raises(himalia.HimaliaError, match="no such file"):
        himalia.deployment("failed").wait()


@pytest.mark.parametrize("model", ["flights", "models:/flights", "models:/flights/0", "models:/a@b/c", "runs:/1/m"])
def test_other_models_are_refused_before_anything_is_sent(granted: FakeService, model: str) -> None:
    with pytest.raises(himalia.HimaliaError, match="models:/name@alias"):
        himalia.deploy(model)
    assert granted.requests == []


def test_problem_documents_become_errors(granted: FakeService) -> None:
    with pytest.raises(himalia.HimaliaError) as caught:
        himalia.connect().scale_cluster("none", 2)
    error = caught.value
    assert (error.status, error.title, error.hint) == (404, "No such cluster", "Start it first.")
    assert str(error) == "No such cluster. Start it first."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_token_is_read_for_every_request(granted: FakeService) -> None:
    himalia.project()
    granted.kernels["k1"] = "him_renewed"
    write_private(Path(os.environ["HIMALIA_TOKEN_FILE"]), "him_renewed\n")
    himalia.project()
    used = [headers["Authorization"] for *_, headers in granted.requests]
    assert used[1] == "Bearer him_renewed" != used[0]


def test_names_cannot_leave_their_place_in_the_path(granted: FakeService) -> None:
    with pytest.raises(himalia.HimaliaError):
        himalia.connect().stop_cluster("../../other/clusters/x")
    assert granted.requests[-1][1] == f"/api/v1/projects/{SLUG}/clusters/..%2F..%2Fother%2Fclusters%2Fx"
    with pytest.raises(himalia.HimaliaError, match="cannot be a name"):
        himalia.connect().stop_cluster("..")


def test_a_service_that_is_starting_is_waited_for(granted: FakeService) -> None:
    granted.unavailable = 3
    assert himalia.project().slug == SLUG
    assert len(granted.requests) == 4


def test_waiting_is_bounded(granted: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    connection = himalia.connect(patience=30)
    connection.transport.clock = lambda: now[0]
    connection.transport.sleep = lambda seconds: now.__setitem__(0, now[0] + seconds)
    connection.transport.url = "http://127.0.0.1:1"
    with pytest.raises(himalia.ServiceUnreachable, match="himalia up"):
        connection.project()
    assert 25 < now[0] <= 30
    granted.unavailable = 10**6
    connection.transport.url = granted.address
    with pytest.raises(himalia.HimaliaError, match="Starting"):
        connection.project()
    assert now[0] <= 60


def test_a_missing_token_file_is_said(granted: FakeService) -> None:
    Path(os.environ["HIMALIA_TOKEN_FILE"]).unlink()
    with pytest.raises(himalia.HimaliaError, match="restart the kernel"):
        himalia.project()


def test_outside_a_project(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HIMALIA_URL", "HIMALIA_PROJECT", "HIMALIA_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(himalia.NotInProject, match="choose the project's kernel"):
        himalia.client()
    monkeypatch.setenv("HIMALIA_GRANT_ERROR", "The service was away.")
    with pytest.raises(himalia.NotInProject, match=r"The service was away.*restart the kernel"):
        himalia.project()


@pytest.mark.parametrize(("count", "text"), [(None, "–"), (12, "12 B"), (3 * 2**30, "3.0 GiB"), (2**41, "2.0 TiB")])
def test_sizes(count: int | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("model", "name"), [("A_b c", "a-b-c"), ("--", "model"), ("x" * 80, "x" * 63)])
def test_endpoint_names(model: str, name: str) -> None:
    assert endpoint_name(model) == name
