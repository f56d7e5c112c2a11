"""An interactive kernel whose sockets are encrypted works as any other."""

from __future__ import annotations

from tests.site.lab import Lab
from tests.site.test_thread_kernels import Session
from tests.waiting import wait_until

FORKED = """
import multiprocessing
child = multiprocessing.get_context("fork").Process(target=print, args=("from a fork",), kwargs={"flush": True})
child.start()
child.join()
"""


def test_what_a_forked_child_prints_comes_through_the_encrypted_pipe(lab: Lab) -> None:
    session = Session(lab.get("/projects/tiny")["kernelspec"])
    try:
        assert session.manager.get_connection_info()["transport"] == "tcp"
        assert session.manager.get_connection_info()["curve_secretkey"]
        # its way is another one than the parent's, so it may come after the end of the cell
        wait_until(lambda: "from a fork" in session.run(FORKED), 60, "the child's output")
    finally:
        session.close()
