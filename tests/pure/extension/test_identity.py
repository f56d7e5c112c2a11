"""For whom the extension asks."""

from __future__ import annotations

import getpass

import pytest
from jupyter_server.auth import IdentityProvider, User
from jupyter_server.auth.identity import PasswordIdentityProvider
from tornado import web

from himalia_server.extension.identity import acting_for


class HubProvider(PasswordIdentityProvider):
    """One that knows persons, although derived from one that does not."""


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)


@pytest.mark.parametrize("provider", [IdentityProvider, PasswordIdentityProvider])
def test_jupyters_own_login_is_the_account(provider: type[IdentityProvider]) -> None:
    assert acting_for(provider(), User("9f1c")) is None


def test_the_account_by_name_is_the_account() -> None:
    assert acting_for(HubProvider(), User(getpass.getuser())) is None


def test_another_person_is_named() -> None:
    assert acting_for(HubProvider(), User("bob@example.org")) == "bob@example.org"


def test_on_a_hub_the_owner_is_the_hubs_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    assert acting_for(HubProvider(), User("ada")) is None
    assert acting_for(HubProvider(), User("bob")) == "bob"


def test_on_a_hub_who_is_called_as_the_account_is_not_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    with pytest.raises(web.HTTPError) as refusal:
        acting_for(HubProvider(), User(getpass.getuser()))
    assert refusal.value.status_code == 403


@pytest.mark.parametrize("name", [" ", "bob ", "a b", "böb", "bob\r\nX-Other: 1", "a/b", "a:b", "x" * 129])
def test_a_name_that_a_header_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(web.HTTPError) as refusal:
        acting_for(HubProvider(), User(name))
    assert refusal.value.status_code == 403
