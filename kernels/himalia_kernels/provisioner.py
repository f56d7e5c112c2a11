"""Gives a project's kernel its environment, whoever starts it: JupyterLab, papermill, a pipeline."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import List, Unicode

from himalia_kernels.environment import kernel_environment
from himalia_kernels.service import ServiceNotFoundError, read_grant, release_grant, request_grant

T = TypeVar("T")
GRANT_FILE = "HIMALIA_GRANT_FILE"
GRANT_ERROR = "HIMALIA_GRANT_ERROR"
SERVICE_SECONDS = 5.0


class HimaliaProvisioner(LocalProvisioner):
    """Starts a kernel on this host with its project's grant.

    At every start and restart it asks the service for a fresh grant: environment and working directory. A
    stage's runner gives its own in the file that HIMALIA_GRANT_FILE names. Without the service an interactive
    kernel starts all the same, with the reason in HIMALIA_GRANT_ERROR; a stage does not.
    """

    project = Unicode(help="The project's slug.").tag(config=True)
    site = Unicode(help="The site's home.").tag(config=True)
    pass_environment = List(
        Unicode(), help="Variables, or patterns such as AWS_*, to pass although they look like secrets."
    ).tag(config=True)
    _asked = False

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Replace the caller's environment and working directory by the kernel's."""
        caller = dict(kwargs.get("env") or os.environ)
        grant_file = caller.get(GRANT_FILE) or os.environ.get(GRANT_FILE)
        env = kernel_environment(caller, self.pass_environment, attended=not grant_file)
        grant: dict[str, Any] | None
        if grant_file:
            try:
                grant = read_grant(Path(grant_file))
            except ServiceNotFoundError as error:
                raise RuntimeError(f"The stage has no grant: {error}") from error
        else:
            grant, reason = await self._ask()
            if grant is None:
                self.log.warning("Kernel of project %s starts without its project: %s", self.project, reason)
                env[GRANT_ERROR] = reason
        if grant is not None:
            env.update(grant["env"])
            self._set_cwd(kwargs, grant["cwd"])
        kwargs["env"] = env
        if getattr(self.parent, "transport_encryption", None) == "disabled":
            # ports on loopback are open to every user of the host, and outputs would be anybody's to read
            kwargs.setdefault("transport_encryption", "auto")
        return await super().pre_launch(**kwargs)

    async def cleanup(self, restart: bool = False) -> None:
        """End the grant with the kernel; a restart asks for another in its place."""
        await super().cleanup(restart)
        if restart or not self._asked:
            return
        self._asked = False
        try:
            await _in_thread(lambda: release_grant(Path(self.site), self.project, self.kernel_id or ""))
        except (ServiceNotFoundError, TimeoutError) as error:
            self.log.info("The grant of kernel %s was left to expire: %s", self.kernel_id, error)

    async def _ask(self) -> tuple[dict[str, Any] | None, str]:
        """A grant, or None and why."""
        self._asked = True  # an answer that comes too late must be released as well
        try:
            grant = await _in_thread(lambda: request_grant(Path(self.site), self.project, self.kernel_id or ""))
        except ServiceNotFoundError as error:
            return None, str(error)
        except TimeoutError:
            return None, f"The Himalia service did not answer within {SERVICE_SECONDS:g} s"
        return grant, ""

    def _set_cwd(self, kwargs: dict[str, Any], granted: str) -> None:
        """Start in the project, unless the caller already chose a folder inside it."""
        chosen = Path(kwargs.get("cwd") or Path.cwd()).resolve()
        project = Path(granted).resolve()
        if chosen.is_relative_to(project):
            return
        if project.is_dir():
            kwargs["cwd"] = str(project)
        else:
            self.log.warning("The project's folder %s is not there; the kernel starts in %s", project, chosen)


async def _in_thread(work: Callable[[], T]) -> T:
    """The result of *work*, done in a thread of its own. Raises TimeoutError after SERVICE_SECONDS.

    A daemon thread, not the loop's executor: a silent service must not hold up the end of the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="himalia-grant", daemon=True).start()
    return await asyncio.wait_for(future, SERVICE_SECONDS)
