"""The labextension's types of the service's interface: ``python -m tests.types`` compares, ``--write`` renews."""

from __future__ import annotations

import difflib
import json
import sys
import tempfile
from pathlib import Path

from himalia_server.service.app import describe
from tests import frontend

TARGET = frontend.LABEXTENSION / "src" / "api" / "schema.ts"


def generate() -> str:
    """What openapi-typescript makes of the service's OpenAPI document."""
    with tempfile.TemporaryDirectory() as scratch:
        document, made = Path(scratch) / "openapi.json", Path(scratch) / "schema.ts"
        document.write_text(json.dumps(describe()))
        if frontend.npm("exec", "--silent", "--", "openapi-typescript", str(document), f"--output={made}") != 0:
            raise SystemExit("openapi-typescript failed")
        return made.read_text()


def main() -> int:
    """Compare or write; 1 when they differ."""
    made = generate()
    if "--write" in sys.argv[1:]:
        TARGET.write_text(made)
        return 0
    committed = TARGET.read_text()
    for line in difflib.unified_diff(committed.splitlines(), made.splitlines(), str(TARGET), "the service", "", "", 1):
        print(line)
    if made != committed:
        print("The service's interface has changed: python -m tests.types --write")
    return 0 if made == committed else 1


if __name__ == "__main__":
    sys.exit(main())
