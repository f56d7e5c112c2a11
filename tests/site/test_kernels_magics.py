"""%pipeline and %stage in a real kernel, against the real service."""

from __future__ import annotations

import os
import re
from typing import Any

from jupyter_client.manager import start_new_kernel

from tests.site.lab import Lab

COMMENT = "# what follows was thought about\n"


class _Notebook:
    """A kernel of a project that belongs to a notebook."""

    def __init__(self, kernelspec: str, path: str) -> None:
        self.manager, self.client = start_new_kernel(
            kernel_name=kernelspec, env={**os.environ, "JPY_SESSION_NAME": path}
        )

    def run(self, code: str, cell: str = "cell") -> tuple[str, str]:
        """What a cell wrote to stderr, and the text of its result."""
        client = self.client
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = client.session.msg("execute_request", content, metadata={"cellId": cell})
        client.shell_channel.send(message)
        errors, result = "", ""
        while True:
            told: dict[str, Any] = client.get_iopub_msg(timeout=120)
            if told["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            body = told["content"]
            if told["msg_type"] == "stream" and body["name"] == "stderr":
                errors += body["text"]
            elif told["msg_type"] == "execute_result":
                result = body["data"]["text/plain"]
            elif told["msg_type"] == "status" and body["execution_state"] == "idle":
                return errors, result

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def test_a_notebook_runs_and_changes_as_the_stage_it_is(lab: Lab) -> None:
    folder = lab.project(
        "magics",
        {"a": {"notebook": "a.ipynb", "outputs": ["a.txt"]}, "b": {"notebook": "b.ipynb", "inputs": ["a.txt"]}},
        {"a.ipynb": ["n = 1", "open('a.txt', 'w').write(str(n))"], "b.ipynb": ["m = 2", "print(open('a.txt').read())"]},
    )
    manifest = folder / "himalia.toml"
    manifest.write_text(manifest.read_text().replace("[stages.b]\n", f"{COMMENT}[stages.b]\n"))
    before = manifest.read_text()
    book = _Notebook(lab.get("/projects/magics")["kernelspec"], str(folder / "b.ipynb"))
    try:
        errors, _ = book.run("%stage")
        assert errors.count("\n") == 1
        assert "a.txt does not exist" in errors
        assert "Run the stage 'a', which makes it, as well." in errors
        errors, result = book.run("%stage a")
        assert (errors, result.splitlines()[0][-9:]) == ("", "succeeded")
        errors, result = book.run("%stage")
        run = re.search(r"Run (\w+): succeeded", result)
        assert run, (errors, result)
        # the panel finds just this result
        again = lab.wait_run("magics", lab.post("/projects/magics/runs", {"options": {"only": ["b"]}})["id"])
        assert [(stage["status"], stage["cached_from"]) for stage in again["stages"]] == [("skipped", run[1])]
        assert book.run("%pipeline")[1].count("unchanged") == 4  # two stages: state and why

        assert book.run("%stage --set retries=2")[0] == ""
        assert manifest.read_text() == before + "retries = 2\n"
        assert book.run("%stage --add c --notebook a.ipynb --input 'd e.csv' --param n=5")[0] == ""
        assert 'notebook = "a.ipynb"\nparams = {n = 5}\ninputs = ["d e.csv"]\n' in manifest.read_text()
        assert "d e.csv does not exist" in book.run("%pipeline")[1]
        assert book.run("%stage c --remove")[0] == ""
        assert manifest.read_text().rstrip() + "\n" == before + "retries = 2\n"
        errors, _ = book.run("%stage --set colour=red")
        assert "colour" in errors
        assert errors.count("\n") == 1

        names = book.client.complete("%stage --set", reply=True, timeout=30)["content"]["matches"]
        assert "--set" in names
        assert {"a", "b"} <= set(book.client.complete("%stage ", reply=True, timeout=30)["content"]["matches"])
        book.run("m = 3", cell="typed")
        assert "edits that are not saved (a new cell)" in book.run("%stage")[0]
    finally:
        book.close()
