"""The kernel layer as the service publishes it: the package `himalia` with nothing beside it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from himalia_server.service.layer import publish_layer


@lru_cache(maxsize=1)
def kernel_layer() -> Path:
    """The layer's folder; gone when the tests end. Installed, the package's own parent would be site-packages."""
    home = Path(tempfile.mkdtemp(prefix="hm-layer-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return publish_layer(home)
