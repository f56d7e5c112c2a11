"""Another account of the same machine looks around: `python -m tests.site.attacker`, what to attack as JSON on stdin.

It knows no more than what every account can find out, and prints what it has found as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq

SECONDS = 2.0
"""How long a port may take to say something."""
LISTENING = "0A"


def listening(uid: int) -> list[tuple[str, int]]:
    """Addresses (hexadecimal, as the kernel writes them) and TCP ports on which an account listens."""
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        path = Path("/proc/net", table)
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            fields = line.split()
            if int(fields[7]) == uid and (fields[3] == LISTENING or table.startswith("udp")):
                address, port = fields[1].split(":")
                found.add((f"{table} {address}", int(port, 16)))
    return sorted(found)


def said(port: int, request: bytes, context: ssl.SSLContext | None = None) -> str:
    """The first thing that a port says to *request*."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
            if context is not None:
                connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
            connection.sendall(request)
            answer = b""
            while len(answer) < 4000 and (part := connection.recv(4000)):
                answer += part
            return answer.decode("latin-1")
    except TimeoutError:
        return answer.decode("latin-1") if "answer" in locals() else "(silent)"
    except OSError as error:
        return f"({type(error).__name__})"


def anybody() -> ssl.SSLContext:
    """TLS that trusts everybody and has no certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


HTTP = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
DASK = (
    (24).to_bytes(8, "little")
    + b"\x01\x00\x00\x00\x00\x00\x00\x00"
    + b"\x08\x00\x00\x00\x00\x00\x00\x00"
    + b"\x81\xa2op\xa4ping"
)
DEBUG = b'{"seq":1,"type":"request","command":"initialize","arguments":{"adapterID":"x"}}'


def probe(port: int) -> dict[str, str]:
    """What a port says to HTTP, to TLS without a certificate, to Dask's protocol, to a debugger, and to nothing."""
    return {
        "http": said(port, HTTP),
        "tls": said(port, HTTP, anybody()),
        "dask": said(port, DASK),
        "debugger": said(port, b"Content-Length: %d\r\n\r\n" % len(DEBUG) + DEBUG),
        "nothing": said(port, b""),
    }


def overheard(ports: list[int]) -> dict[int, list[str]]:
    """What ZeroMQ sockets of each kind hear on these ports, without a key and with a made-up one."""
    context = zmq.Context()
    poller, sockets = zmq.Poller(), {}
    _, any_server = zmq.curve_keypair()
    for port in ports:
        for kind in (zmq.SUB, zmq.DEALER):
            for curved in (False, True):
                made = context.socket(kind)
                made.linger = 0
                if curved:
                    made.curve_publickey, made.curve_secretkey = zmq.curve_keypair()
                    made.curve_serverkey = any_server
                if kind == zmq.SUB:
                    made.subscribe(b"")
                made.connect(f"tcp://127.0.0.1:{port}")
                if kind == zmq.DEALER:
                    header = b'{"msg_id":"1","msg_type":"kernel_info_request","session":"s","username":"u"}'
                    with suppress(zmq.Again):  # the other end has turned us away already
                        made.send_multipart([b"<IDS|MSG>", b"", header, b"{}", b"{}", b"{}"], zmq.NOBLOCK)
                poller.register(made, zmq.POLLIN)
                sockets[made] = port
    heard: dict[int, list[str]] = {port: [] for port in ports}
    deadline = time.monotonic() + SECONDS
    while (left := deadline - time.monotonic()) > 0:
        for made, _ in poller.poll(left * 1000):
            heard[sockets[made]].append(repr(made.recv_multipart())[:300])
    for made in sockets:
        made.close()
    context.term()
    return heard


def control() -> bool:
    """Whether this process hears a socket that is not encrypted; else its silence would prove nothing."""
    context = zmq.Context()
    publisher = context.socket(zmq.PUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    with ThreadPoolExecutor(1) as pool:
        hearing = pool.submit(overheard, [port])
        while not hearing.done():
            publisher.send(b"open")
            time.sleep(0.02)
        heard = hearing.result()[port]
    publisher.close(0)
    context.term()
    return any("open" in message for message in heard)


def readable(roots: list[str]) -> dict[str, list[str]]:
    """Files below *roots* that can be read, and places that can be written to."""
    found: dict[str, list[str]] = {"read": [], "write": []}
    for root in roots:
        for folder, _, names in os.walk(root):
            if os.access(folder, os.W_OK):
                found["write"].append(folder)
            for name in names:
                path = os.path.join(folder, name)  # noqa: PTH118
                try:
                    with open(path, "rb"):  # noqa: PTH123
                        found["read"].append(path)
                except OSError:
                    pass
                if os.access(path, os.W_OK):
                    found["write"].append(path)
    return found


def sockets(roots: list[str]) -> dict[str, str]:
    """What comes of connecting to each unix socket that the system lists below *roots*, or that has no path."""
    paths = {line.split()[7] for line in Path("/proc/net/unix").read_text().splitlines()[1:] if len(line.split()) > 7}
    outcome = {}
    for path in sorted(paths):
        if not path.startswith("@") and not any(path.startswith(root) for root in roots):
            continue
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.settimeout(SECONDS)
                made.connect("\0" + path[1:] if path.startswith("@") else path)
                outcome[path] = "connected"
        except OSError as error:
            outcome[path] = type(error).__name__
    return outcome


def processes(uid: int) -> dict[str, Any]:
    """Command lines of an account's processes, and what of each process can be opened."""
    lines, opened = [], []
    for folder in Path("/proc").iterdir():
        try:
            if not folder.name.isdigit() or folder.stat().st_uid != uid:
                continue
            lines.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            for name in ("environ", "maps", "mem", "fd"):
                try:
                    _ = os.listdir(folder / name) if name == "fd" else (folder / name).read_bytes()  # noqa: PTH208
                    opened.append(f"{folder.name}/{name}")
                except OSError:
                    pass
        except FileNotFoundError:
            continue
    return {"lines": lines, "opened": opened}


def main() -> None:
    """Look around, and tell."""
    facts = json.load(sys.stdin)
    uid = facts["uid"]
    ports = listening(uid)
    numbers = sorted({port for _, port in ports})
    with ThreadPoolExecutor(16) as pool:
        control_result, heard = pool.submit(control), pool.submit(overheard, numbers)
        answers = dict(zip(numbers, pool.map(probe, numbers), strict=True))
    roots = facts["roots"]
    found = {
        "me": os.getuid(),
        "ports": ports,
        "answers": answers,
        "heard": heard.result(),
        "control": control_result.result(),
        "files": readable([root for root in roots if Path(root).exists()]),
        "sockets": sockets(roots),
        "processes": processes(uid),
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
