"""httpx for commands that speak to the service on this machine: without what takes it a tenth of a second to start."""

from __future__ import annotations

import ssl
import sys

_OWN_COMMAND = "httpx._main"
"""httpx's own command line, which imports rich and pygments; where it cannot be imported, httpx goes without."""

if "httpx" in sys.modules:
    import httpx
else:
    sys.modules[_OWN_COMMAND] = None  # type: ignore[assignment]
    try:
        import httpx
    finally:
        del sys.modules[_OWN_COMMAND]

__all__ = ["httpx", "local_client"]


def local_client(*, seconds: float, connect: float) -> httpx.Client:
    """A client for addresses of this machine: through no proxy, and with no authorities to trust: HTTPS is refused.

    *seconds* to wait for a reply, *connect* for a connection.
    """
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.Client(trust_env=False, verify=nobody, timeout=httpx.Timeout(seconds, connect=connect))
