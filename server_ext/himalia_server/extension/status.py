"""How the service is, and its start."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any, ClassVar

from tornado import web

from himalia_server import __version__

from .handlers import HimaliaHandler
from .identity import acting_for
from .link import NewerService


class StatusHandler(HimaliaHandler):
    """`GET` says how the service is, `POST` starts it when there is none. Its address and token stay in this process.

    The answer: `state` (running, starting or stopped), `version` of the service, `extension` (this version), `site`,
    `root` (what the file browser shows as its root), `user`, `crashed`.
    """

    actions: ClassVar[dict[str, str]] = {"GET": "read", "POST": "write"}

    @web.authenticated
    async def get(self) -> None:
        """Look; starts nothing."""
        await self.answer(self._facts)

    @web.authenticated
    async def post(self) -> None:
        """The same, once the service runs. One that is older than this extension is replaced. Not for guests."""
        if acting_for(self.identity_provider, self.current_user) is not None:
            raise web.HTTPError(403, "Only the owner of this Jupyter server starts the service.")
        try:
            await self.link.ensure()
        except (NewerService, OSError, RuntimeError) as error:
            self.fail(self.told(error))
            return
        await self.answer(self._facts)

    def _facts(self) -> dict[str, Any]:
        from himalia_server.service import lifecycle

        found = lifecycle.look()
        return {key: found[key] for key in ("state", "version", "site", "crashed")} | {
            "extension": __version__,
            "root": self._root(),
            "user": acting_for(self.identity_provider, self.current_user) or getpass.getuser(),
        }

    def _root(self) -> str | None:
        """Where the file browser starts; None when the contents are no files."""
        folder = getattr(self.contents_manager, "root_dir", None)
        return str(Path(folder).expanduser().absolute()) if folder else None
