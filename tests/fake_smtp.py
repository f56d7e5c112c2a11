"""A mail server that keeps what it is sent: enough of RFC 5321 for one client at a time, over a real socket.

Python has none any more (smtpd went with 3.12). What is checked with it is the real `smtplib` and its messages.
"""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from email.policy import default
from typing import Any, Literal


class FakeSmtp(socketserver.ThreadingTCPServer):
    """`messages`: what arrived. `refusal`: what RCPT is answered with when it is not None.

    *tls*: its certificate, for a port that is TLS from the beginning, or for STARTTLS, as *security* says. *login*:
    user and password, without which nothing is taken.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        security: Literal["tls", "starttls"] = "starttls",
        login: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tls, self.security, self.login = tls, security, login
        self.messages: list[Message] = []
        self.recipients: list[list[str]] = []
        self.refusal: str | None = None

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who does not trust the certificate hangs up."""
        if not isinstance(sys.exception(), ssl.SSLError | ConnectionError):
            super().handle_error(request, client_address)


class _Handler(socketserver.StreamRequestHandler):
    server: FakeSmtp

    def handle(self) -> None:
        server = self.server
        if server.tls is not None and server.security == "tls":
            self._secure()
        self._say("220 fake_smtp")
        recipients: list[str] = []
        known = server.login is None
        while line := self.rfile.readline():
            verb = line.decode().strip().upper()
            if verb.startswith("EHLO"):
                offers = ["fake_smtp"]
                if server.tls is not None and not isinstance(self.request, ssl.SSLSocket):
                    offers.append("STARTTLS")
                elif server.login is not None:
                    offers.append("AUTH PLAIN")
                for number, offer in enumerate(offers, start=1):
                    self._say(f"250{' ' if number == len(offers) else '-'}{offer}")
            elif verb.startswith("STARTTLS") and server.tls is not None:
                self._say("220 go on")
                self._secure()
            elif verb.startswith("AUTH PLAIN"):
                _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                known = (user, password) == server.login
                self._say("235 welcome" if known else f"535 wrong: {user} {password}")
            elif not known and not verb.startswith(("HELO", "QUIT", "RSET")):
                self._say("530 sign in first")
            elif verb.startswith("DATA"):
                self._say("354 go on")
                self._data(recipients)
                recipients = []
            elif verb.startswith("RCPT") and self.server.refusal is not None:
                self._say(self.server.refusal)
            elif verb.startswith("RCPT"):
                recipients.append(line.decode().partition("<")[2].partition(">")[0])
                self._say("250 ok")
            elif verb.startswith("QUIT"):
                self._say("221 bye")
                return
            elif verb.startswith(("HELO", "MAIL", "RSET", "NOOP")):
                self._say("250 ok")
            else:
                self._say("502 not known")

    def _secure(self) -> None:
        assert self.server.tls is not None
        assert isinstance(self.request, socket.socket)
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.setup()

    def _data(self, recipients: list[str]) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        self.server.messages.append(message_from_bytes(b"".join(lines), policy=default))
        self.server.recipients.append(recipients)
        self._say("250 taken")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def fake_smtp(
    tls: ssl.SSLContext | None = None,
    security: Literal["tls", "starttls"] = "starttls",
    login: tuple[str, str] | None = None,
) -> Iterator[FakeSmtp]:
    """One that answers while the block lasts."""
    with FakeSmtp(tls, security, login) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)
