"""The Jupyter server's side of Himalia: the only way from the browser to the service of this site.

It holds no state of the product and imports no room: whatever a room does goes through the service.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from jupyter_server.extension.application import ExtensionApp

from himalia_server import __version__

from .forward import DashboardForward, MlflowForward, RestForward
from .handlers import HimaliaHandler
from .link import Link
from .sockets import DashboardSocket, EventsSocket
from .status import StatusHandler

__all__ = [
    "HimaliaExtension",
    "HimaliaHandler",
    "__version__",
]  # Jupyter lists the extension with its version


CLOSE_SECONDS = 5.0
"""For how long the end of the Jupyter server waits for its connections to close."""


class HimaliaExtension(ExtensionApp):
    """Registers the routes under `<base url>/himalia/`."""

    name = "himalia"

    def initialize_handlers(self) -> None:
        """Add the routes; Jupyter puts its base URL before them."""
        self.link = Link()
        show_commands()
        self.handlers.extend(
            [
                (r"/himalia/api/status", StatusHandler),
                (r"/himalia/api/events", EventsSocket),
                (r"/himalia/api/v1/.*", RestForward),
                (r"/himalia/mlflow/.*", MlflowForward),
                (r"/himalia/dashboard/.*/ws", DashboardSocket),
                (r"/himalia/dashboard/.*", DashboardForward),
            ]
        )

    async def stop_extension(self) -> None:
        """The Jupyter server ends: so do its sockets and connections. The service goes on.

        Whatever happens here, the server must end: Jupyter waits for this without a limit, and a fault would leave it
        running for ever.
        """
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.link.close()
        except Exception:
            self.log.warning("Himalia: connections to the service were left to the system to close", exc_info=True)


def show_commands() -> None:
    """Let terminals find the command `himalia`, also when the environment that it is installed in is not activated.

    Behind all else: no program of the user's is hidden.
    """
    folder = str(Path(sys.executable).parent)
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if folder not in places:
        os.environ["PATH"] = os.pathsep.join([*places, folder])


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "himalia_server.extension", "app": HimaliaExtension}]
