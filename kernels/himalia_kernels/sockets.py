"""A place for a kernel's sockets."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

SOCKET_PATH_LIMIT = 100  # the kernel's limit is 108 bytes on Linux, 104 on macOS


def socket_folder(runtime_dir: Path | None = None) -> Path:
    """A new folder for the kernel's sockets, closed to others, with a path short enough for them.

    It is made in *runtime_dir*, or else in the user's runtime folder or a temporary one. Raises OSError when
    the paths of all are too long or closed to us.
    """
    places = [runtime_dir, os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"]  # noqa: S108
    for place in places:
        if not place or not os.access(place, os.W_OK | os.X_OK):
            continue
        folder = Path(tempfile.mkdtemp(prefix="hk-", dir=place))  # mode 0700
        if len(os.fsencode(folder / "k-output")) <= SOCKET_PATH_LIMIT:
            return folder
        folder.rmdir()
    raise OSError("no folder for the kernel's sockets: set TMPDIR to a folder with a short path")
