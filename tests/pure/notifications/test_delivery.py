"""Delivery over real sockets: signed, repeated, never lost, and nowhere it must not go."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
import threading
from typing import Any

import pytest
from sqlalchemy import select

from himalia_server.notifications import sending
from himalia_server.notifications.models import NotifierCreate
from himalia_server.notifications.outbox import WAITS
from himalia_server.notifications.sending import Parcel, Undelivered, post
from himalia_server.service.problems import Conflict, NotFound
from himalia_server.store import AuditRow, Delivery, EventRow, Notifier
from tests.fake_smtp import fake_smtp
from tests.receiver import receiver
from tests.waiting import wait_until

from .conftest import ANN, Bench


def webhook(bench: Bench, url: str, name: str = "hook") -> str:
    body = NotifierCreate.model_validate({"name": name, "target": {"kind": "webhook", "url": url}})
    secret = bench.room.create(ANN, bench.project, body).secret
    assert secret is not None
    return secret


def email(bench: Bench, *to: str) -> None:
    body = NotifierCreate.model_validate({"name": "team", "target": {"kind": "email", "to": list(to)}})
    assert bench.room.create(ANN, bench.project, body).secret is None


def deliveries(bench: Bench) -> list[Delivery]:
    with bench.context.database.read() as session:
        return list(session.scalars(select(Delivery).order_by(Delivery.id)))


def test_a_webhook_is_signed(bench: Bench) -> None:
    with receiver() as there:
        secret = webhook(bench, f"{there.url}/hook?key=1")
        run_id = bench.end_run("failed")
        bench.room.outbox.tick()
    ((path, headers, body),) = there.got
    assert path == "/hook?key=1"
    stamp, mark = (part.partition("=")[2] for part in headers["x-himalia-signature"].split(","))
    assert stamp == str(int(bench.now))
    assert mark == hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    told = json.loads(body)
    assert (told["kind"], told["run"], told["stage"], told["cell"]) == ("failure", run_id, "train", 4)
    assert headers["x-himalia-delivery"] == told["delivery"] == deliveries(bench)[0].id
    assert "schedule_id" not in told
    assert deliveries(bench)[0].delivered_at == bench.now


def test_what_does_not_arrive_is_repeated_with_the_same_id_and_longer_waits(bench: Bench) -> None:
    with receiver() as there:
        webhook(bench, there.url)
        there.answer = (503, {})
        bench.end_run("failed")
        bench.room.outbox.tick()
        (row,) = deliveries(bench)
        assert (row.attempts, row.next_at, row.error) == (1, bench.now + WAITS[0], "the receiver answered 503")
        assert bench.room.outbox.tick() == WAITS[0]
        bench.now += WAITS[0]
        bench.room.outbox.tick()
        assert deliveries(bench)[0].next_at == bench.now + WAITS[1]
        assert bench.room.notifiers(bench.project)[0].problem == "the receiver answered 503"
        there.answer = (204, {})
        bench.now += WAITS[1]
        bench.again()  # another service goes on with it
        bench.room.outbox.tick()
        assert bench.room.outbox.tick() == 20
    assert len({headers["x-himalia-delivery"] for _, headers, _ in there.got}) == 1
    assert len(there.got) == 3
    view = bench.room.notifiers(bench.project)[0]
    assert (view.problem, view.pending, view.last_delivered_at) == (None, 0, bench.now)


def test_it_is_given_up_after_days_and_that_is_told(bench: Bench) -> None:
    with receiver() as there:
        there.answer = (500, {})
        webhook(bench, there.url)
        bench.end_run("failed")
        began = bench.now
        for wait in (0.0, *WAITS):
            bench.now += wait
            bench.room.outbox.tick()
    (row,) = deliveries(bench)
    assert (row.next_at, row.attempts) == (None, len(WAITS) + 1)
    assert bench.now - began > 2.5 * 86400
    with bench.context.database.read() as session:
        assert "notice.undelivered" in [event.topic for event in session.scalars(select(EventRow))]


def test_killed_after_it_arrived_it_comes_again_with_the_same_id(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with receiver() as there:
        webhook(bench, there.url)
        bench.end_run("failed")
        monkeypatch.setattr(bench.room.outbox, "_written", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.room.outbox.tick()
        bench.again()
        bench.room.outbox.tick()
        bench.room.outbox.tick()
    assert len(there.got) == 2
    assert there.got[0][1]["x-himalia-delivery"] == there.got[1][1]["x-himalia-delivery"]


def test_redirects_are_not_followed(bench: Bench) -> None:
    with receiver() as there, receiver() as other:
        there.answer = (302, {"Location": f"{other.url}/secret-place"})
        webhook(bench, there.url)
        bench.end_run("failed")
        bench.room.outbox.tick()
        assert other.got == []
    error = deliveries(bench)[0].error or ""
    assert "a redirect to 127.0.0.1" in error
    assert "secret-place" not in error


def test_a_name_that_leads_to_metadata_is_refused_when_it_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Undelivered, match="own network"):
        post("http://metadata.example.org/", "s", Parcel("1", {}), 0)


def test_it_goes_to_the_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that says another address when it is asked again gets nothing there."""
    asked = 0

    def resolve(host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
        nonlocal asked
        asked += 1
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name == "rebinding.example.org":
            assert asked == 1, "asked again"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    with receiver() as there:
        port = there.server_address[1]
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        post(f"http://rebinding.example.org:{port}/x", "s", Parcel("1", {}), 0)
    assert there.got[0][1]["host"] == f"rebinding.example.org:{port}"


def test_a_receiver_that_is_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "SECONDS", 0.2)
    with receiver() as there:
        there.hold = threading.Event()
        with pytest.raises(Undelivered, match="did not answer within"):
            post(there.url, "s", Parcel("1", {}), 0)
        there.hold.set()


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "2852039166", "0xa9fea9fe"])
def test_hosts_that_are_none_or_hide_an_address(host: str) -> None:
    with pytest.raises(Undelivered):
        post(f"http://{host}/", "s", Parcel("1", {}), 0)


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Undelivered) as caught:
        post(f"http://127.0.0.1:{port}/services/T0/secret?key=other", "s", Parcel("1", {}), 0)
    assert "secret" not in str(caught.value)
    assert "other" not in str(caught.value)


def test_secrets_are_in_no_row_no_log_and_no_second_reply(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with receiver() as there:
        there.answer = (500, {})
        secret = webhook(bench, f"{there.url}/key-in-path")
        bench.end_run("failed")
        bench.room.outbox.tick()
        bench.room.test(ANN, bench.project, "hook")
    assert len(there.got) == 2
    with bench.context.database.read() as session:
        rows = [
            vars(row) for table in (Notifier, Delivery, AuditRow, EventRow) for row in session.scalars(select(table))
        ]
    for text in (str(rows), str(bench.room.notifiers(bench.project))):
        assert secret not in text
        assert "key-in-path" not in text
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("himalia"))
    assert secret not in ours
    assert "key-in-path" not in caplog.text


def test_a_rotation_of_keys_keeps_webhooks(bench: Bench) -> None:
    with receiver() as there:
        webhook(bench, there.url)
        assert bench.vault.rotate(ANN).resealed == 1
        bench.again()
        assert bench.room.test(ANN, bench.project, "hook").delivered
    assert json.loads(there.got[0][2])["kind"] == "test"


def test_e_mail(bench: Bench) -> None:
    with fake_smtp() as server:
        bench.configure(smtp_host="127.0.0.1", smtp_port=server.port, smtp_security="none", smtp_from="lab@example.org")
        email(bench, "ann@example.org", "bob@example.org")
        run_id = bench.end_run("failed", "KeyError: 'zürich'\nmore")
        bench.room.outbox.tick()
    (message,) = server.messages
    assert server.recipients == [["ann@example.org", "bob@example.org"]]
    assert message["Subject"] == "[Himalia] nightly of flights failed in the stage train, cell 4"
    assert message["From"] == "lab@example.org"
    assert deliveries(bench)[0].id in message["Message-ID"]
    text = message.get_content()  # type: ignore[attr-defined]
    assert f"Run: {run_id}" in text
    assert "Error: KeyError: 'zürich'" in text


def test_e_mail_faults_are_told(bench: Bench) -> None:
    email(bench, "ann@example.org")
    assert "no mail server" in (bench.room.test(ANN, bench.project, "team").error or "")
    with fake_smtp() as server:
        server.refusal = "550 nobody of that name"
        bench.configure(smtp_host="127.0.0.1", smtp_port=server.port, smtp_security="none")
        assert bench.room.test(ANN, bench.project, "team").error == "the mail server takes nothing for ann@example.org"
        bench.configure(smtp_security="starttls")
        assert "STARTTLS" in (bench.room.test(ANN, bench.project, "team").error or "")
    assert server.messages == []


def test_a_slow_one_does_not_keep_others(bench: Bench) -> None:
    """Two receivers: the first one's delivery is under way, the second one's is done meanwhile."""
    with receiver() as slow, receiver() as quick:
        slow.hold = threading.Event()
        webhook(bench, slow.url, "a-slow")
        webhook(bench, quick.url, "b-quick")
        bench.room.outbox.spawn = lambda work: threading.Thread(target=work).start()
        bench.end_run("failed")
        bench.room.outbox.tick()
        wait_until(lambda: len(quick.got) == 1 and len(slow.got) == 1, 20, "both to be asked")
        bench.room.outbox.tick()
        slow.hold.set()
        wait_until(lambda: all(row.delivered_at for row in deliveries(bench)), 20, "both to arrive")
    assert len(slow.got) == 1, "not sent again while it is under way"


def test_names_and_removal(bench: Bench) -> None:
    webhook(bench, "https://example.org/x")
    with pytest.raises(Conflict):
        webhook(bench, "https://example.org/y")
    bench.end_run("failed")
    bench.room.remove(ANN, bench.project, "hook")
    assert deliveries(bench) == []
    with pytest.raises(NotFound):
        bench.room.remove(ANN, bench.project, "hook")


def test_the_thread_delivers(bench: Bench) -> None:
    """Woken within the transaction that is committed only after."""
    with receiver() as there:
        webhook(bench, there.url)
        bench.room.start()
        bench.end_run("failed")
        wait_until(lambda: there.got, 20, "the webhook")
        bench.room.stop()
