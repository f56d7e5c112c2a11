"""The table of roles."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from himalia_server.team import PROJECT_ACTIONS, Role, ceiling, may, weakest

LABEXTENSION = Path(__file__).parents[3] / "labextension" / "src"


def test_what_is_not_named_is_refused() -> None:
    assert not may(Role.OWNER, "project.launch-rocket")


def test_a_viewer_only_reads() -> None:
    assert {action for action in PROJECT_ACTIONS if may(Role.VIEWER, action)} == {
        action for action in PROJECT_ACTIONS if action.endswith(".read")
    }


def test_a_contributor_cannot_do_an_operators_work() -> None:
    for action in ("model.alias", "deployment.write", "deployment.token", "project.delete", "member.write"):
        assert not may(Role.CONTRIBUTOR, action)


def test_roles_of_the_thread_are_cumulative() -> None:
    order = [Role.VIEWER, Role.CONTRIBUTOR, Role.OPERATOR, Role.APPROVER, Role.OWNER]
    for weaker, stronger in pairwise(order):
        assert all(may(stronger, action) for action in PROJECT_ACTIONS if may(weaker, action))


def test_a_ceiling_lowers_and_never_raises() -> None:
    assert ceiling(Role.OWNER, Role.CONTRIBUTOR) == Role.CONTRIBUTOR
    assert ceiling(Role.VIEWER, Role.CONTRIBUTOR) == Role.VIEWER
    assert ceiling(Role.OWNER, None) == Role.OWNER
    assert weakest("model.alias") == Role.OPERATOR


def in_page(file: str, begin: str, end: str) -> str:
    """What stands in a file of the labextension between two texts, each of which is there once."""
    text = (LABEXTENSION / file).read_text()
    assert text.count(begin) == 1, f"{file}: {begin}"
    return text.partition(begin)[2].partition(end)[0]


def test_the_page_has_the_table_of_the_service() -> None:
    """A button that the page takes for allowed would end in a refusal; one that it does not know of, as well."""
    lines = in_page("api/roles.ts", "const WEAKEST = {\n", "\n} as const;").splitlines()
    rows = [re.fullmatch(r"  '([a-z.]+)': '([a-z]+)',?", line) for line in lines]
    assert all(rows), lines
    table = {row[1]: row[2] for row in rows if row}
    assert table == {action: weakest(action) for action in PROJECT_ACTIONS if weakest(action) != Role.VIEWER}


def test_the_page_ranks_roles_as_the_service_does() -> None:
    roles = [role.value for role in Role]
    for file, begin in (("api/roles.ts", "const RANK = ["), ("team/roles.ts", "const ROLES: readonly Role[] = [")):
        assert re.findall(r"'([a-z]+)'", in_page(file, begin, "]")) == roles
