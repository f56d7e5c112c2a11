"""The table of roles."""

from __future__ import annotations

from itertools import pairwise

from himalia_server.team import PROJECT_ACTIONS, Role, ceiling, may, weakest


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
