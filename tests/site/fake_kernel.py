"""A kernel of another language, as far as Jupyter can tell: a cell is the name of a variable, and prints its value."""

from __future__ import annotations

import os
from typing import Any

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class FakeKernel(Kernel):
    """Knows `cwd` and names of environment variables."""

    implementation = "fake"
    implementation_version = "1"
    banner = "fake"
    language_info = {"name": "other", "mimetype": "text/plain", "file_extension": ".other"}  # noqa: RUF012

    async def do_execute(self, code: str, silent: bool, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Print the value."""
        text = os.getcwd() if code == "cwd" else os.environ.get(code, "nothing")  # noqa: PTH109
        self.send_response(self.iopub_socket, "stream", {"name": "stdout", "text": text})
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=FakeKernel)
