"""A mail server that keeps what it is sent: enough of RFC 5321 for one client at a time, over a real socket.

Python has none any more (smtpd went with 3.12). What is checked with it is the real `smtplib` and its messages; it
knows neither TLS nor sign-in.
"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from email.policy import default


class FakeSmtp(socketserver.ThreadingTCPServer):
    """`messages`: what arrived. `refusal`: what RCPT is answered with when it is not None."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.messages: list[Message] = []
        self.recipients: list[list[str]] = []
        self.refusal: str | None = None

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(socketserver.StreamRequestHandler):
    server: FakeSmtp

    def handle(self) -> None:
        self._say("220 fake_smtp")
        recipients: list[str] = []
        while line := self.rfile.readline():
            verb = line.decode().strip().upper()
            if verb.startswith("DATA"):
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
            elif verb.startswith(("HELO", "EHLO", "MAIL", "RSET", "NOOP")):
                self._say("250 ok")
            else:
                self._say("502 not known")

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
def fake_smtp() -> Iterator[FakeSmtp]:
    """One that answers while the block lasts."""
    with FakeSmtp() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)
