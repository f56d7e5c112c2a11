"""`python -m himalia_server.service`: run the service of the site at $HIMALIA_HOME until it is stopped."""

from __future__ import annotations

import errno
import getpass
import json
import logging
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path
from types import FrameType

import uvicorn
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from himalia import __version__

from ..locking import LockTimeout, acquire
from ..store import Run, StoreRefused, Token, User, continue_ids
from . import logs, tokens
from .app import announce_stop, create_app, stop
from .auth import METRICS
from .children import Children
from .connections import BoundedHttp
from .context import Change, Context, open_store
from .guard import Guard, sweep_drafts
from .identity import ProcessIdentity
from .journal import Events
from .lifecycle import LOCK_SECONDS
from .ports import listen, room
from .site import Site, SiteError, write_private

METRICS_USER = "himalia:metrics"
"""Member of nothing; no account of the system can be called so."""
CANNOT_START = 78
"""Exit code (EX_CONFIG of sysexits.h) after a sentence on standard error that says why."""


def main() -> int:
    """Start, serve, stop."""
    try:
        return _main()
    except (SiteError, StoreRefused) as error:
        return _refuse(str(error))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _refuse("The disk is full. Free some space, then start again.")
        raise
    except (OperationalError, sqlite3.OperationalError) as error:
        if "disk is full" in str(error) or "disk I/O" in str(error):
            return _refuse("The disk is full, or does not take data. Free some space, then start again.")
        raise


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"himalia: {sentence}\n")
    return CANNOT_START


def _main() -> int:
    site = Site.open()
    site.prepare()
    settings = site.settings()
    os.umask(0o077)
    try:
        lock = acquire(site.lock_file, LOCK_SECONDS)
    except LockTimeout:
        return _refuse(f"A service of this site ({site.home}) runs already.")
    logs.configure(site.log("service"), settings.log_megabytes)
    sweep_drafts(site)
    database = open_store(site, settings)
    if not database.own():
        return _refuse(
            f"Another service uses the database {database.name}. Stop that one, or give each site a database of its "
            "own."
        )
    backup = database.migrate()
    if backup:
        logging.getLogger(__name__).info("store migrated", extra={"backup": str(backup)})
    wanted = settings.service_port or int(site.remembered().get("service_port", 0))
    try:
        listener = listen(wanted)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return _refuse(f"The service cannot listen on port {wanted}: {error.strerror}.")
        if settings.service_port:
            return _refuse(
                f"The port {wanted} is taken by another process. Set another [service] port in "
                f"{site.home / 'settings.toml'} (0: any), or stop that process."
            )
        # nobody chose the old port, so another one does no harm; kernels get it with their next start
        listener = listen(0)
    port = int(listener.getsockname()[1])
    site.remember(service_port=port)
    context = Context(site, settings, database, Events(database), Children(site, settings.log_megabytes << 20))
    context.base_url = f"http://127.0.0.1:{port}"
    context.started_at = time.time()
    with database.read() as session:
        continue_ids(session.scalar(select(func.max(Run.id))) or "0")
    _ensure_user(context)

    def shut_down() -> None:
        announce_stop(context)
        server.should_exit = True

    def place_lost() -> None:
        context.keep_children = False
        shut_down()

    app = create_app(context, shut_down)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        http=BoundedHttp,
        ws="websockets-sansio",
        limit_concurrency=room(),
    )
    server = _Server(config, context)
    identity = ProcessIdentity.current().to_dict()
    state = {**identity, "address": context.base_url, "version": __version__, "site": site.id}
    write_private(site.state_file, json.dumps(state))
    _redirect_output(site)
    guard = Guard(context, lock, json.dumps(state), lambda: _ensure_user(context), place_lost)
    guard.start()
    server.run(sockets=[listener])
    announce_stop(context)
    stop(app, keep_children=context.keep_children)
    database.close()
    if not guard.lost:
        site.state_file.unlink(missing_ok=True)
    return 0


def _redirect_output(site: Site) -> None:
    """From now on, what C libraries or a dying interpreter print goes to a file."""
    output = os.open(site.home / "logs" / "service.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)


class _Server(uvicorn.Server):
    """Ends event streams first when a signal asks it to end; children stay for the next service."""

    def __init__(self, config: uvicorn.Config, context: Context) -> None:
        super().__init__(config)
        self.context = context

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT."""
        announce_stop(self.context)
        self.should_exit = True


def _ensure_user(context: Context) -> None:
    """The OS account that owns the site is a user and its admin, with a token in a file only it can read."""
    name = getpass.getuser()
    file = context.site.user_token_file
    with context.change() as change:
        if change.session.get(User, name) is None:
            change.session.add(User(name=name, site_role="admin"))
            change.session.flush()
            change.audit("user.create", None, name, site_role="admin")
        _ensure_token(change, file, user=name, purpose="user")
        if change.session.get(User, METRICS_USER) is None:
            change.session.add(User(name=METRICS_USER))
            change.session.flush()
        _ensure_token(change, context.site.metrics_token_file, user=METRICS_USER, purpose=METRICS)


def _ensure_token(change: Change, file: Path, *, user: str, purpose: str) -> None:
    """A valid token lies in *file*, made when there is none."""
    known: Token | None = tokens.find(change.session, file.read_text().strip()) if file.exists() else None
    if known is None:
        tokens.issue(change.session, purpose=purpose, user=user, seconds=None, file=file)
        change.audit("token.issue", None, user, purpose=purpose)


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.exit(main())
