"""The extension does not slow down JupyterLab's start."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import sys
import jupyter_server.serverapp, jupyter_server.extension.application
before = set(sys.modules)
import himalia_server.extension
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def test_nothing_but_himalia_itself_is_imported_at_the_start() -> None:
    run = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) <= {"himalia", "himalia_server", "difflib"}
