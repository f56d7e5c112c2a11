"""What children of the service see of its environment: little, and no secret."""

from __future__ import annotations

import os

PASSED = {
    "HOME",
    "LANG",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
}
PREFIXES = ("LC_", "XDG_", "JUPYTER_")
SECRET = ("TOKEN", "SECRET", "PASSWORD")


def child_environment(**more: str) -> dict[str, str]:
    """The environment of a child: an allow-list of ours, and *more*."""
    kept = {key: value for key, value in os.environ.items() if key in PASSED or key.startswith(PREFIXES)}
    return {key: value for key, value in kept.items() if not key.endswith(SECRET)} | more
