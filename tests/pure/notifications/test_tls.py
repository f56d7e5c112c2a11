"""Deliveries over TLS: to whom the system trusts, and to nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from himalia_server.notifications.models import NotifierCreate
from himalia_server.notifications.sending import Parcel, Undelivered, post
from tests.certificates import Authority
from tests.fake_smtp import fake_smtp
from tests.receiver import receiver

from .conftest import ANN, Bench

PARCEL = Parcel("1", {"kind": "test"})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """As a system has it that trusts its own authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


def test_a_webhook_over_https(trusted: Authority) -> None:
    with receiver(trusted.server("localhost")) as there:
        post(f"https://localhost:{there.port}/hook", "s", PARCEL, 0)
    assert [path for path, _, _ in there.got] == ["/hook"]
    assert there.got[0][1]["host"] == f"localhost:{there.port}"


def test_a_webhook_of_another_name_gets_nothing(trusted: Authority) -> None:
    with receiver(trusted.server("other.example")) as there, pytest.raises(Undelivered, match="certificate"):
        post(f"https://localhost:{there.port}/hook", "s", PARCEL, 0)
    assert there.got == []


def test_a_webhook_whose_authority_nobody_knows_gets_nothing(authority: Authority) -> None:
    with receiver(authority.server("localhost")) as there, pytest.raises(Undelivered, match="certificate"):
        post(f"https://localhost:{there.port}/hook", "s", PARCEL, 0)
    assert there.got == []


def email(bench: Bench, port: int, **settings: str) -> str | None:
    """What becomes of an e-mail for a try; None: it arrived."""
    bench.configure(smtp_host="localhost", smtp_port=port, smtp_from="lab@example.org", **settings)
    return bench.room.test(ANN, bench.project, "team").error


@pytest.fixture
def team(bench: Bench) -> Bench:
    body = NotifierCreate.model_validate({"name": "team", "target": {"kind": "email", "to": ["ann@example.org"]}})
    bench.room.create(ANN, bench.project, body)
    return bench


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_e_mail_over_tls_with_a_password(team: Bench, trusted: Authority, security: Literal["tls", "starttls"]) -> None:
    with fake_smtp(trusted.server("localhost"), security, ("lab", "pass-canary")) as server:
        assert email(team, server.port, smtp_security=security, smtp_user="lab", smtp_password="pass-canary") is None
        assert [message["To"] for message in server.messages] == ["ann@example.org"]
        refused = email(team, server.port, smtp_security=security, smtp_user="lab", smtp_password="other-canary")
    assert refused == "the mail server refuses the sign-in (535)"
    assert len(server.messages) == 1


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_no_password_goes_to_a_mail_server_that_nobody_vouches_for(
    team: Bench, authority: Authority, security: Literal["tls", "starttls"]
) -> None:
    with fake_smtp(authority.server("localhost"), security, ("lab", "pass-canary")) as server:
        refused = email(team, server.port, smtp_security=security, smtp_user="lab", smtp_password="pass-canary")
    assert refused is not None
    assert "certificate verify failed" in refused
    assert server.messages == []


def test_a_password_never_goes_out_in_the_clear(team: Bench) -> None:
    """A server that offers no STARTTLS is not signed in to."""
    with fake_smtp(login=("lab", "pass-canary")) as server:
        refused = email(team, server.port, smtp_security="starttls", smtp_user="lab", smtp_password="pass-canary")
    assert "STARTTLS" in (refused or "")
    assert server.messages == []
