"""Which requests the tracking proxy forwards to MLflow, and which role may make them.

The table is `mlflow_routes.txt`: every route of the pinned MLflow with the action it is. What the table does
not name is refused. Paths are decoded and relative to the project (`/mlflow/<project>` is cut off).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import unquote

READ, WRITE, REGISTRY, DELETE = "read", "write", "registry", "delete"
DENY = "deny"

ARTIFACTS = "/api/2.0/mlflow-artifacts/"

_ROLE_ACTIONS: dict[str, frozenset[str]] = {
    "viewer": frozenset({READ}),
    "contributor": frozenset({READ, WRITE}),
    "operator": frozenset({READ, WRITE, REGISTRY}),
    "approver": frozenset({READ, WRITE, REGISTRY}),
    "owner": frozenset({READ, WRITE, REGISTRY, DELETE}),
}
_ACTIONS = frozenset({READ, WRITE, REGISTRY, DELETE, DENY})
_MAX_DECODINGS = 10


@dataclass(frozen=True)
class Route:
    """One line of the table; `path` may hold `*` (one segment) and `**` (one or more)."""

    action: str
    method: str
    path: str


class _Table:
    """The routes, split into exact paths (a dictionary) and patterns (tried in order, denials first)."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.exact = {(r.method, r.path): r.action for r in routes if "*" not in r.path}
        patterns = [(r.method, _pattern(r.path), r.action) for r in routes if "*" in r.path]
        self.patterns = sorted(patterns, key=lambda pattern: pattern[2] != DENY)

    def action(self, method: str, path: str) -> str | None:
        found = self.exact.get((method, path))
        if found is not None:
            return found
        for pattern_method, pattern, action in self.patterns:
            if pattern_method == method and pattern.fullmatch(path):
                return action
        return None


def _pattern(path: str) -> re.Pattern[str]:
    escaped = re.escape(path).replace(r"\*\*", ".+").replace(r"\*", "[^/]+")
    return re.compile(escaped, re.DOTALL)


def read_routes(text: str) -> tuple[Route, ...]:
    """Parse the table. Raises ValueError with the line number when a line is not `action METHOD path`."""
    routes: list[Route] = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) != 3 or fields[0] not in _ACTIONS or not fields[2].startswith("/"):
            raise ValueError(f"mlflow_routes.txt, line {number}: {line!r} is not 'action METHOD /path'")
        routes.append(Route(*fields))
    return tuple(routes)


ROUTES = read_routes(files(__package__).joinpath("mlflow_routes.txt").read_text(encoding="utf-8"))
_TABLE = _Table(ROUTES)


def normal_path(path: str) -> str:
    """The path with MLflow's two names for its interface, /ajax-api and /api, made one."""
    return "/api/" + path.removeprefix("/ajax-api/") if path.startswith("/ajax-api/") else path


def is_artifact_path(path: str) -> bool:
    """Whether *path* carries an artifact's own path, where any character may stand in a file name."""
    return normal_path(path).startswith(ARTIFACTS)


def decoded_completely(path: str) -> str:
    """Percent-decode until nothing changes, as MLflow does with artifact paths.

    Raises ValueError when that takes more than ten rounds: MLflow gives up there too.
    """
    for _ in range(_MAX_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            return path
        path = decoded
    raise ValueError("the path is percent-encoded more than ten times over")


def _is_plain(path: str) -> bool:
    """No empty, `.` or `..` segment, no backslash, no control character."""
    if not path.startswith("/") or "//" in path or "\\" in path:
        return False
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in path):
        return False
    return not any(segment in (".", "..") for segment in path.split("/"))


def is_safe_path(path: str) -> bool:
    """Whether *path* (decoded once) means the same to MLflow, to us and to the file system."""
    if not _is_plain(path):
        return False
    if "%" not in path:
        return True
    if not is_artifact_path(path):
        return False
    try:
        return _is_plain(decoded_completely(path))
    except ValueError:
        return False


def classify(method: str, path: str) -> str | None:
    """Return the action of a request, or None when it must not be forwarded.

    *path* is percent-decoded once and relative to the project; it begins with a slash. HEAD counts as GET.
    """
    if not is_safe_path(path):
        return None
    action = _TABLE.action("GET" if method == "HEAD" else method, normal_path(path))
    return None if action == DENY else action


def role_allows(role: str, action: str) -> bool:
    """Whether *role* may do *action*; an unknown role may nothing."""
    return action in _ROLE_ACTIONS.get(role, frozenset())


def least_role(action: str) -> str:
    """The lowest role that may do *action*, for messages."""
    return next(role for role, actions in _ROLE_ACTIONS.items() if action in actions)
