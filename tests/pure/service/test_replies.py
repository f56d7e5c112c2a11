"""Faults of disk and database as problems; texts from outside; pages; what the OpenAPI document says."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import String, inspect
from sqlalchemy.exc import DatabaseError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from himalia_server.clusters.models import ClusterCreate
from himalia_server.deployments.models import DeploymentCreate, KeyCreate
from himalia_server.pipelines.models import StageProgress
from himalia_server.projects.kernels.models import KernelCreate
from himalia_server.service.app import describe
from himalia_server.service.inputs import Name, Slug, printable
from himalia_server.service.once import KeyText
from himalia_server.service.paging import page_of
from himalia_server.service.problems import NotFound, Problem
from himalia_server.service.replies import as_problem, reply
from himalia_server.store import Cluster, Deployment, DeploymentKey, Kernel, Project, RequestKey, Revision

HOME = Path("/site")


def fault(kind: type[Exception], sqlstate: str | None, text: str = "server says no") -> Exception:
    """An error of SQLAlchemy around one of psycopg with this code."""
    psycopg = pytest.importorskip("psycopg")
    made = psycopg.errors.lookup(sqlstate)(text) if sqlstate else psycopg.OperationalError(text)
    return kind("SELECT 1", {}, made)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("database is locked", 503),
        ("database table is locked", None),
        ("database or disk is full", 507),
        ("no such table: runs", None),
    ],
)
def test_faults_of_sqlite(text: str, status: int | None) -> None:
    problem = as_problem(OperationalError("INSERT", {}, sqlite3.OperationalError(text)), HOME)
    assert (problem and problem.status) == status
    assert problem is None or problem.hint


@pytest.mark.parametrize(
    ("kind", "sqlstate", "status"),
    [
        (OperationalError, "53100", 507),  # disk full
        (OperationalError, "53300", 503),  # too many connections
        (OperationalError, "57P01", 503),  # the administrator ends it
        (OperationalError, "57P03", 503),  # it is starting
        (OperationalError, "08006", 503),  # the connection failed
        (OperationalError, "55P03", 503),  # a lock is not to be had
        (OperationalError, None, 503),  # nobody listens
        (InterfaceError, None, 503),
        (DatabaseError, "42P01", None),  # no such table: a fault of ours
        (DatabaseError, "22001", None),
    ],
)
def test_faults_of_postgresql(kind: type[Exception], sqlstate: str | None, status: int | None) -> None:
    problem = as_problem(fault(kind, sqlstate), HOME)
    assert (problem and problem.status) == status
    assert problem is None or problem.hint


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.ENOSPC, "full"), 507),
        (OSError(errno.EDQUOT, "quota"), 507),
        (OSError(errno.EMFILE, "files"), 503),
        (OSError(errno.EACCES, "no"), None),
        (RecursionError(), 400),
        (PoolTimeout(), 503),
        (NotFound("x"), 404),
        (KeyError("x"), None),
    ],
)
def test_faults_of_the_machine(error: Exception, status: int | None) -> None:
    problem = as_problem(error, HOME)
    assert (problem and problem.status) == status


def test_who_is_to_try_again_is_told_when() -> None:
    problem = as_problem(PoolTimeout(), HOME)
    assert problem is not None
    assert reply("/api/v1/runs", problem).headers["retry-after"] == "2"
    assert "retry-after" not in reply("/api/v1/runs", NotFound("x")).headers


def test_what_is_quoted_may_be_no_text() -> None:
    assert b"\\ud800" in bytes(reply("/", NotFound("\ud800")).body)


COLUMNS: list[tuple[Any, Any, str]] = [
    (Slug, Project, "slug"),
    (Name, Cluster, "name"),
    (Name, Deployment, "name"),
    (KeyText, RequestKey, "key"),
    (ClusterCreate.model_fields["profile"], Cluster, "profile"),
    (ClusterCreate.model_fields["memory_limit"], Cluster, "memory_limit"),
    (KeyCreate.model_fields["label"], DeploymentKey, "label"),
    (KernelCreate.model_fields["kernel_id"], Kernel, "id"),
]


@pytest.mark.parametrize(("model", "table", "column"), COLUMNS, ids=lambda value: getattr(value, "__name__", ""))
@given(text=st.text(max_size=300) | st.text("a0", max_size=300) | st.from_regex(r"\A[0-9]{1,70}(\.[0-9]+)?B\Z"))
def test_what_is_let_in_fits_its_column(model: Any, table: Any, column: str, text: str) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(_type_of(model))
    try:
        adapter.validate_python(text)
    except ValidationError:
        return
    kind = inspect(table).columns[column].type
    assert isinstance(kind, String)
    assert kind.length is not None
    assert len(text) <= kind.length
    # a profile is looked up in a table, and never stored as it was sent
    assert "\0" not in text or column == "profile"
    text.encode()


def _type_of(model: Any) -> Any:
    return Annotated[model.annotation, *model.metadata, model] if hasattr(model, "annotation") else model


def test_the_name_of_a_model_fits_with_room_for_its_alias() -> None:
    length = inspect(Revision).columns["model_name"].type.length
    with pytest.raises(ValidationError):
        DeploymentCreate(name="x", model="models:/" + "a" * length + "@b")
    assert DeploymentCreate(name="x", model="models:/" + "a" * 200 + "@champion")


def test_progress_is_told_whatever_the_cell_holds() -> None:
    assert StageProgress(cell=1, cells=2, label="a\0b\tc").label == "ab\tc"
    assert printable("ü\ud800\x1b[0m") == "ü[0m"


def test_a_pattern_is_in_the_document_and_in_words() -> None:
    adapter: TypeAdapter[str] = TypeAdapter(Name)
    assert adapter.json_schema()["pattern"].startswith("^")
    with pytest.raises(ValidationError, match="small letters"):
        adapter.validate_python("Ab")
    key: TypeAdapter[str] = TypeAdapter(KeyText)
    with pytest.raises(ValidationError, match="1 to 64 letters"):
        key.validate_python("x" * 65)


@given(st.sets(st.text(min_size=1)), st.integers(1, 5), st.sets(st.text(min_size=1)))
def test_pages_tell_each_item_once_also_when_others_come_and_go(
    names: set[str], limit: int, changing: set[str]
) -> None:
    seen: list[str] = []
    cursor: str | None = None
    turn = 0
    while turn == 0 or cursor is not None:
        there = names | (changing if turn % 2 else set())
        page, cursor = page_of(there, lambda name: name, cursor, limit)
        assert len(page) <= limit
        seen += page
        turn += 1
    assert seen == sorted(set(seen))
    assert names <= set(seen)


def test_every_operation_documents_what_the_door_answers() -> None:
    document = describe()
    assert document["security"]
    problem = {"$ref": "#/components/schemas/Problem"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            assert {"400", "401", "413", "415", "422", "503", "507"} <= set(responses), (method, path)
            if "{slug}" in path:
                assert {"403", "404", "409"} <= set(responses), (method, path)
            for status, response in responses.items():
                if int(status) >= 400:
                    assert response["content"]["application/problem+json"]["schema"] == problem, (method, path)


def test_every_list_has_a_limit_and_a_cursor() -> None:
    document = describe()
    unpaged = {
        "/api/v1/templates",  # as many as are installed
        "/api/v1/environments",  # as many as the disk holds
        "/api/v1/projects/{slug}/problems",  # of one file
        "/api/v1/projects/{slug}/secrets",  # each is a variable of the same process
        "/api/v1/projects/{slug}/notifiers",  # at most 50
    }
    for path, operations in document["paths"].items():
        schema = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        name = schema.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
        if "items" not in document["components"]["schemas"].get(name, {}).get("properties", {}) or path in unpaged:
            continue
        parameters = {entry["name"]: entry["schema"] for entry in operations["get"]["parameters"]}
        assert "cursor" in parameters, path
        assert parameters["limit"]["maximum"] <= 500, path
        assert "next" in document["components"]["schemas"][name]["properties"], path


def test_problems_know_their_statuses() -> None:
    statuses = [kind.status for kind in Problem.__subclasses__()]
    assert len(statuses) == len(set(statuses))
