"""A migrated store, made once and copied for each test that needs one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from himalia_server.service.context import Context, open_store
from himalia_server.service.journal import Events
from himalia_server.service.site import Settings, Site


@lru_cache(maxsize=1)
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        site = Site.open(Path(folder) / "site")
        (site.home / "backups").mkdir()
        store = open_store(site, Settings())
        store.migrate()
        with store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        store.close()
        return site.database.read_bytes()


@contextmanager
def site_context(folder: Path) -> Iterator[Context]:
    """A context on a site of its own in *folder*, with an empty store and without children."""
    site = Site.open(folder / "site")
    site.prepare()
    site.database.write_bytes(_migrated())
    store = open_store(site, Settings())
    try:
        yield Context(site, Settings(), store, Events(store), cast(Any, None))
    finally:
        store.close()
        shutil.rmtree(site.runtime, ignore_errors=True)
