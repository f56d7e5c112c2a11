"""What is forwarded, and that every route of the installed MLflow has been judged."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from himalia_server.tracking import mlflow_environment, policy
from himalia_server.tracking.policy import ROUTES, Route, classify, is_safe_path, role_allows

FILES = "/api/2.0/mlflow-artifacts/artifacts/"
ACTIONS = ("read", "write", "registry", "delete")

# In a process of its own: importing MLflow's server changes much and takes seconds.
ENUMERATE = """
import json, os, sys
os.environ.update(json.loads(sys.argv[1]))
from mlflow.server import app as flask_app
from mlflow.server.fastapi_app import app
found, unread = set(), []
for rule in flask_app.url_map.iter_rules():
    found |= {(method, rule.rule) for method in rule.methods}
def walk(routes):
    for route in routes:
        if hasattr(route, "effective_candidates"):
            walk(route.effective_candidates())
        elif getattr(route, "methods", None) and getattr(route, "path", None):
            found.update((method, route.path) for method in route.methods)
        elif type(route).__name__ != "Mount":
            unread.append(repr(route))
walk(app.routes)
json.dump({"found": sorted(found), "unread": unread}, sys.stdout)
"""


def in_our_words(rule: str) -> str:
    """A Flask or FastAPI path as the table writes it."""
    rule = re.sub(r"<path:[^>]+>|\{[^}:]+:path\}", "**", rule)
    return policy.normal_path(re.sub(r"<[^>]+>|\{[^}]+\}", "*", rule))


def test_every_route_of_the_installed_mlflow_is_allowed_or_denied_on_purpose(tmp_path: Path) -> None:
    environment = mlflow_environment(tmp_path / "mlflow.db", tmp_path / "artifacts")
    command = [sys.executable, "-c", ENUMERATE, json.dumps(environment)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert told["unread"] == []
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    found = {(method, in_our_words(rule)) for method, rule in told["found"] if method in methods}
    judged = {(route.method, route.path) for route in ROUTES}
    assert len(found) > 250
    assert sorted(found - judged) == [], "routes of MLflow that nobody has judged: see mlflow_routes.txt"
    assert sorted(judged - found) == [], "routes in mlflow_routes.txt that MLflow no longer has"


def concrete(route: Route, filling: str = "x-1") -> str:
    return route.path.replace("**", f"{filling}/y").replace("*", filling)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_line_of_the_table_means_what_it_says(route: Route) -> None:
    expected = None if route.action == "deny" else route.action
    path = concrete(route)
    assert classify(route.method, path) == expected
    if path.startswith("/api/"):
        assert classify(route.method, "/ajax-api/" + path.removeprefix("/api/")) == expected
    if route.method == "GET":
        assert classify("HEAD", path) == expected


def test_the_table_has_each_route_once_and_as_many_as_were_judged() -> None:
    assert max(Counter((route.method, route.path) for route in ROUTES).values()) == 1
    counts = Counter(route.action for route in ROUTES)
    assert counts == {"read": 57, "write": 45, "registry": 6, "delete": 13, "deny": 151}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("OPTIONS", "/version"),
        ("CONNECT", "/version"),
        ("get", "/version"),
        ("POST", "/version"),
        ("GET", ""),
        ("GET", "version"),
        ("GET", "//version"),
        ("GET", "/version/"),
        ("GET", "/VERSION"),
        ("GET", "/api/2.0/mlflow/runs/get/"),
        ("GET", "/api//2.0/mlflow/runs/get"),
        ("GET", "/api/2.0/mlflow/./runs/get"),
        ("GET", "/api/2.0/mlflow/x/../runs/get"),
        ("GET", "/api/2.0/mlflow/runs%2fget"),
        ("GET", "/api/2.0\\mlflow/runs/get"),
        ("GET", "/api/2.0/mlflow/runs/get\n"),
        ("GET", "/api/2.0/mlflow/runs/get\x00"),
        ("GET", "/ajax-api/ajax-api/2.0/mlflow/runs/get"),
        ("GET", "/api/ajax-api/2.0/mlflow/runs/get"),
        ("GET", "/static-files/../api/3.0/mlflow/workspaces"),
        ("GET", "/static-files/%2e%2e/x"),
        ("GET", FILES + "a/../../b"),
        ("GET", FILES + "a/%2e%2e/b"),
        ("GET", FILES + "a/%252e%252e/b"),
        ("GET", FILES + "a/%2fb"),
        ("GET", FILES + "a%5cb"),
        ("GET", FILES + "a%0ab"),
        ("GET", FILES + "%" + "25" * 12 + "2e"),
        ("GET", "/api/2.0/mlflow/logged-models/m-1/artifacts/anything"),
        ("DELETE", "/api/3.0/mlflow/workspaces/beta"),
    ],
)
def test_what_is_not_in_the_table_or_could_be_misread_is_refused(method: str, path: str) -> None:
    assert classify(method, path) is None


@pytest.mark.parametrize("name", ["50% & more.txt", "näme.txt", "a b?c;d.txt", "100%.txt", "日本.csv", "a:b"])
def test_odd_file_names_are_allowed(name: str) -> None:
    assert classify("PUT", FILES + "workspaces/alpha/1/run/artifacts/" + name) == "write"


@given(st.text(max_size=40))
def test_no_path_with_a_trick_is_safe(text: str) -> None:
    for path in ("/" + text, FILES + text, "/static-files/" + text):
        if is_safe_path(path):
            decoded = policy.decoded_completely(path)
            assert not {".", "..", ""} & set(decoded.split("/")[1:-1])
            assert ".." not in decoded.split("/")
            assert "\\" not in decoded
            assert all(ord(character) >= 32 for character in decoded)
            assert "%" not in path or policy.is_artifact_path(path)


@given(st.lists(st.sampled_from(["..", ".", "", "a", "%2e%2e", "\\", "b\x00"]), max_size=5), st.integers(0, 3))
def test_no_encoding_hides_a_dotted_segment(segments: list[str], rounds: int) -> None:
    path = "/".join(segments)
    for _ in range(rounds):
        path = quote(path, safe="/")
    bad = any(segment != "a" for segment in segments)
    if bad and segments:
        assert classify("GET", FILES + path) is None or segments[-1:] == [""]
    elif segments:
        assert classify("GET", FILES + path) == "read"


@given(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]), st.text(max_size=60))
def test_what_is_made_up_is_refused_unless_a_line_names_it(method: str, text: str) -> None:
    action = classify(method, "/api/" + text)
    if action is not None:
        assert any(
            route.method == method
            and route.action == action
            and re.fullmatch(re.escape(route.path).replace(r"\*\*", ".+").replace(r"\*", "[^/]+"), "/api/" + text)
            for route in ROUTES
        )


def test_roles_add_up() -> None:
    allowed = {
        role: {action for action in ACTIONS if role_allows(role, action)}
        for role in ("viewer", "contributor", "operator", "approver", "owner", "admin", "")
    }
    assert allowed == {
        "viewer": {"read"},
        "contributor": {"read", "write"},
        "operator": {"read", "write", "registry"},
        "approver": {"read", "write", "registry"},
        "owner": {"read", "write", "registry", "delete"},
        "admin": set(),
        "": set(),
    }
    assert not role_allows("owner", "deny")


@pytest.mark.parametrize("line", ["read GET", "allow GET /x", "read GET x", "read GET /x y"])
def test_a_broken_table_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        policy.read_routes(f"# comment\n{line}\n")
