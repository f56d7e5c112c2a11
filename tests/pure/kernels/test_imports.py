"""What importing costs and needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LAYER = Path(__file__).parents[3] / "kernels"


def run(code: str, *options: str) -> str:
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_himalia_needs_the_standard_library_only() -> None:
    code = (
        f"import sys; sys.path.append({str(LAYER)!r}); import himalia, himalia._connection, himalia._resources\n"
        "names = {name.partition('.')[0] for name in sys.modules} - {'himalia', '__main__'}\n"
        "print(sorted(names - sys.stdlib_module_names))"
    )
    assert run(code, "-S", "-I").strip() == "[]"


def test_every_function_but_the_magics_is_there_without_ipython() -> None:
    code = (
        f"import sys; sys.path.append({str(LAYER)!r}); import himalia\n"
        "print([n for n in himalia.__all__ if not hasattr(himalia, n)])\n"
        "try: himalia.project()\n"
        "except himalia.NotInProject as error: print(error)"
    )
    printed = run(code, "-S", "-I")
    assert printed.startswith("[]\n")
    assert "belongs to no Himalia project" in printed


@pytest.mark.parametrize(
    "first", ["papermill", "papermill.exceptions", "himalia_kernels.engine", "himalia_kernels.stage"]
)
def test_the_engine_is_found_whichever_is_imported_first(first: str) -> None:
    code = (
        f"import {first}\n"
        "from himalia_kernels.engine import HimaliaEngine\n"
        "from papermill.engines import NBClientEngine, papermill_engines\n"
        "print(papermill_engines.get_engine('himalia') is HimaliaEngine, issubclass(HimaliaEngine, NBClientEngine))"
    )
    assert run(code).strip() == "True True"


def test_checking_parameters_does_not_import_papermill() -> None:
    code = "import sys, himalia_kernels.parameters; print('papermill' in sys.modules, 'nbformat' in sys.modules)"
    assert run(code).strip() == "False False"
