"""A user's machine for the tests that install: its PATH, its settings, its environments."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Machine:
    """`programs` is all of PATH; what is made lies under `base`."""

    base: Path
    programs: Path

    def run(self, command: list[str], *, cwd: Path | None = None, path: Path | None = None, **env: str) -> str:
        """Run *command* with *path* before the machine's own; returns what it wrote, both streams.

        Raises:
            AssertionError: it failed; the text holds what it wrote.
        """
        done = subprocess.run(
            command,
            cwd=cwd or self.base,
            env=self.environ(path) | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def environment(self, name: str, requirements: list[str]) -> Path:
        """A new environment with *requirements* in the versions of constraints.txt; returns its `bin`."""
        folder = self.base / name
        self.run([sys.executable, "-m", "uv", "venv", "--quiet", f"--python={sys.executable}", str(folder)])
        self.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "uv",
                    "pip",
                    "install",
                    "--quiet",
                    f"--python={folder / 'bin' / 'python'}",
                ),
                *(f"--constraint={ROOT / 'constraints.txt'}", *requirements),
            ]
        )
        return folder / "bin"

    def environ(self, path: Path | None) -> dict[str, str]:
        """Variables of a shell of this machine, with the programs in *path* first."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "HIMALIA"))}
        own.pop("VIRTUAL_ENV", None)
        own.pop("PYTHONPATH", None)
        for name in (
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
            "HIMALIA_HOME",
            "IPYTHONDIR",
        ):
            own[name] = str(self.base / name.lower())
        own["PATH"] = os.pathsep.join(str(folder) for folder in (path, self.programs) if folder)
        return own
