"""The kernel layer: the service's own copy of `himalia`, laid out so that project environments can use it."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from pathlib import Path

import himalia
from himalia import __version__

from .site import private_folder

ENTRY_POINTS = "[mlflow.request_auth_provider]\nhimalia = himalia.mlflow_headers:HimaliaAuthProvider\n"
METADATA = f"Metadata-Version: 2.1\nName: himalia\nVersion: {__version__}\n"


def publish_layer(home: Path) -> Path:
    """Make `<home>/layer` show this version's kernel side; returns that path, which stays the same over upgrades.

    An older copy is kept while kernels may still import from it; all but the newest two are removed.
    """
    layers = private_folder(home / "layers")
    source = Path(himalia.__file__).parent
    files = sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(source)}\0".encode() + path.read_bytes())
    target = layers / f"{__version__}-{digest.hexdigest()[:12]}"
    if not target.exists():
        draft = layers / f".{secrets.token_hex(6)}"
        shutil.copytree(source, draft / "himalia", ignore=shutil.ignore_patterns("__pycache__"))
        info = draft / f"himalia-{__version__}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(METADATA)
        (info / "entry_points.txt").write_text(ENTRY_POINTS)
        draft.replace(target)
    link = home / "layer"
    if not link.is_symlink() or link.readlink() != target:
        fresh = home / f".layer.{secrets.token_hex(6)}"
        fresh.symlink_to(target)
        fresh.replace(link)
    others = sorted((path for path in layers.iterdir() if path != target), key=lambda path: path.stat().st_mtime)
    for path in others[:-1]:
        shutil.rmtree(path, ignore_errors=True)
    return link
