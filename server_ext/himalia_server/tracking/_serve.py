"""Serve MLflow on a unix socket: `python -P _serve.py <socket>`. Run as a script, in a process of its own.

uvicorn would create the socket itself with mode 0666, so it is made here, with 0600, and handed over.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
from pathlib import Path

# More than the proxy's, which therefore never sends a request down a connection that is being closed.
KEEPALIVE_S = 75
SHUTDOWN_S = 5


def private_socket(path: Path) -> socket.socket:
    """Listen on *path* with mode 0600.

    Raises SystemExit when the folder is open to others, when something else lies there, or when another
    MLflow listens already.
    """
    if stat.S_IMODE(path.parent.stat().st_mode) & 0o077:
        raise SystemExit(f"The folder {path.parent} is open to other users; make it private (chmod 700).")
    if path.exists() or path.is_symlink():
        _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    return listener


def _remove_stale(path: Path) -> None:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise SystemExit(f"{path} is not a socket; remove it or choose another place.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise SystemExit(f"Another MLflow already listens on {path}.")


def main(path: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    listener = private_socket(path)  # before the imports, which take seconds: a second server ends at once
    inode = path.stat().st_ino
    # uvicorn shuts down on SIGTERM and then raises the signal again, which has to end in `finally` too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    import uvicorn

    config = uvicorn.Config(
        "mlflow.server.fastapi_app:app",
        workers=1,
        access_log=False,
        server_header=False,
        # X-Forwarded-For stays a mere header: MLflow's assistant trusts whoever seems to call from loopback.
        proxy_headers=False,
        timeout_keep_alive=KEEPALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    config.load()
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        if path.exists() and path.stat().st_ino == inode:  # not the socket of a successor
            path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
