"""What a terminal of JupyterLab finds."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from himalia_server.extension import show_commands


def test_terminals_find_the_command_of_an_environment_that_is_not_activated(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert shutil.which("himalia") is None
    show_commands()
    show_commands()
    assert os.environ["PATH"] == f"/usr/bin:/bin:{folder}"
    assert shutil.which("himalia") == str(Path(folder) / "himalia")
