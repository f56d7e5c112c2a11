"""Gives a project's kernel its environment, whoever starts it: JupyterLab, papermill, a pipeline."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import List, Unicode

from himalia import _observed
from himalia_kernels import limits, zygote
from himalia_kernels._forked import ForkedProcess
from himalia_kernels.environment import kernel_environment
from himalia_kernels.service import ServiceNotFoundError, read_grant, release_grant, request_grant
from himalia_kernels.spec import Oom

T = TypeVar("T")
GRANT_FILE = "HIMALIA_GRANT_FILE"
GRANT_ERROR = "HIMALIA_GRANT_ERROR"
START = "HIMALIA_START"
"""In the kernel: ``fork``, or ``ordinary: `` and why it was not forked."""
NOTES = "HIMALIA_NOTES"
"""In the kernel: what its user should know, a sentence a line; shown with the first cell."""
SERVICE_SECONDS = 5.0
FORK_SECONDS = 20.0
"""Far above what `Zygote.fork` takes at most by itself."""
SHUTDOWN_SECONDS = 0.5
LAUNCHER = "kernel_main.py"
POPEN_OPTIONS = frozenset({"env", "cwd", "stdin", "stdout", "stderr", "independent", "kernel_id", "extra_arguments"})


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
    start_reason: str = ""
    """How the kernel was started: ``fork``, or ``ordinary: `` and why it was not forked."""
    process: Any = None
    _asked = False
    _grant: dict[str, Any] | None = None
    _attended = True
    _fence: limits.Fence | None = None
    _last_end: str | None = None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Replace the caller's environment and working directory by the kernel's."""
        caller = dict(kwargs.get("env") or os.environ)
        grant_file = caller.get(GRANT_FILE) or os.environ.get(GRANT_FILE)
        self._attended = not grant_file
        grant: dict[str, Any] | None
        reason = ""
        if grant_file:
            try:
                grant = read_grant(Path(grant_file))
            except ServiceNotFoundError as error:
                raise RuntimeError(f"The stage has no grant: {error}") from error
        else:
            grant, reason = await self._ask()
        passed = [*self.pass_environment, *((grant or {}).get("pass_environment") or ())]
        env = kernel_environment(caller, passed, attended=self._attended)
        if grant is None:
            self.log.warning("Kernel of project %s starts without its project: %s", self.project, reason)
            env[GRANT_ERROR] = reason
        else:
            env.update(grant["env"])
            self._set_cwd(kwargs, grant["cwd"])
        if not self._attended:
            # where the kernel of a stage records what it opens; never for what runs as ours but is no stage
            names = (_observed.VARIABLE, _observed.ROOT_VARIABLE)
            env.update({name: os.environ[name] for name in names if name in os.environ})
        if self._last_end is not None:
            env[NOTES] = "\n".join(filter(None, [self._last_end, env.get(NOTES)]))
            self._last_end = None
        self._grant = grant
        kwargs["env"] = env
        if getattr(self.parent, "transport_encryption", None) == "disabled":
            # ports on loopback are open to every user of the host, and outputs would be anybody's to read
            kwargs.setdefault("transport_encryption", "auto")
        kwargs = await super().pre_launch(**kwargs)
        if grant is not None and grant["python"] and _is_launcher(kwargs["cmd"]):
            kwargs["cmd"] = [self._python(grant["python"], kwargs["cmd"][0]), *kwargs["cmd"][1:]]
        return kwargs

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork the kernel from its environment's zygote, or else start a process."""
        self._fence = fence = self._make_fence()
        env = kwargs["env"]
        for name, value in fence.environment.items():
            env.setdefault(name, value)
        mother: zygote.Zygote | None = None
        late = threading.Event()
        try:
            mother = self._zygote(cmd, env, kwargs)
            work = functools.partial(self._fork, mother, cmd, kwargs, fence, late)
            self.process = await _in_thread(work, FORK_SECONDS)
        except (zygote.Refused, TimeoutError) as refused:
            late.set()
            reason = str(refused) or "the zygote does not answer"
            self.start_reason = env[START] = f"ordinary: {reason}"
            self.log.info("The kernel of project %s starts as a process of its own: %s", self.project, reason)
            connection = await super().launch_kernel(cmd, **kwargs)
            self._admit(fence)
            if mother is not None and getattr(refused, "startable", False):
                self._start_zygote(mother)
            return connection
        self.start_reason = "fork"
        self.pid = self.pgid = self.process.pid
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info

    async def poll(self) -> int | None:
        """The exit status, None while the kernel lives. Notes why one ended that nobody asked to."""
        code = await super().poll()
        if (
            self.process is not None
            and code
            and self._last_end is None
            and not getattr(self.parent, "shutting_down", 0)
        ):
            self._last_end = limits.last_end(code, self.died_of_memory(code), self._limits())
            self.log.warning("%s", self._last_end)
        return code

    async def shutdown_requested(self, restart: bool = False) -> None:
        """Look for the end at once; Jupyter looks each tenth of a second."""
        await super().shutdown_requested(restart)
        process, deadline = self.process, time.monotonic() + SHUTDOWN_SECONDS
        while process is not None and process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def died_of_memory(self, returncode: int | None) -> Oom:
        """Whether the system ended the kernel for want of memory; "unknown" where nobody counts such ends."""
        return "unknown" if self._fence is None else self._fence.verdict(returncode)

    async def cleanup(self, restart: bool = False) -> None:
        """End the grant with the kernel; a restart asks for another in its place."""
        await super().cleanup(restart)
        if self._fence is not None:
            self._fence.remove()
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
        """Start in the project, unless the caller already chose a folder inside it or runs papermill."""
        chosen = Path(kwargs.get("cwd") or Path.cwd()).resolve()
        project = Path(granted).resolve()
        if chosen.is_relative_to(project) or (self._attended and "cwd" not in kwargs and _in_papermill()):
            return
        if project.is_dir():
            kwargs["cwd"] = str(project)
        else:
            self.log.warning("The project's folder %s is not there; the kernel starts in %s", project, chosen)

    def _python(self, granted: str, stated: str) -> str:
        """The interpreter of the environment as it is now, which may be another than when the kernelspec was read."""
        if os.access(granted, os.X_OK):
            return granted
        self.log.warning("The interpreter %s is not there; the kernel starts with %s", granted, stated)
        return stated

    def _limits(self) -> limits.Limits:
        granted = (self._grant or {}).get("limits") or {}
        return limits.Limits(granted.get("memory_bytes"), granted.get("cpus"))

    def _make_fence(self) -> limits.Fence:
        """What holds the kernel to its limits; one before it may have left its own."""
        if self._fence is not None:
            self._fence.remove()
        return limits.fence(self._limits())

    def _admit(self, fence: limits.Fence) -> None:
        try:
            fence.admit(self.process.pid)
        except OSError as error:
            self.log.warning("The kernel of project %s runs without its limits: %s", self.project, error)

    def _zygote(self, cmd: list[str], env: dict[str, str], kwargs: dict[str, Any]) -> zygote.Zygote:
        """The zygote of this kernel. Raises Refused where it cannot be forked."""
        granted = (self._grant or {}).get("zygote")
        if granted is None:
            raise zygote.Refused("its project has no zygote" if self._grant else "its project was not found")
        if not _is_launcher(cmd):
            raise zygote.Refused("it is not a kernel of Himalia's")
        secret = set((self._grant or {}).get("secrets") or ())
        if strange := sorted(set(kwargs) - POPEN_OPTIONS):
            raise zygote.Refused(f"it is started with {', '.join(strange)}")
        return zygote.zygote_for(
            Path(granted["folder"]),
            python=cmd[0],
            launcher=Path(cmd[1]),
            preload=granted.get("preload"),
            key=granted.get("key") or "",
            env={name: value for name, value in env.items() if name not in secret},
        )

    def _fork(
        self,
        mother: zygote.Zygote,
        cmd: list[str],
        kwargs: dict[str, Any],
        fence: limits.Fence,
        late: threading.Event,
    ) -> ForkedProcess:
        """The forked kernel. One that comes when nobody waits for it any more (*late*) is ended."""
        independent = bool(kwargs.get("independent"))
        env = kwargs["env"] | {START: "fork"}
        if not independent:
            env["JPY_PARENT_PID"] = str(os.getpid())
        with contextlib.ExitStack() as stack:
            process = mother.fork(
                "kernel",
                [str(Path(part).expanduser()) for part in cmd[1:]],
                env=env,
                cwd=str(kwargs.get("cwd") or Path.cwd()),
                stdout=_descriptor(kwargs.get("stdout"), 1, stack),
                stderr=_descriptor(kwargs.get("stderr"), 2, stack),
                independent=independent,
                sweep=not self._attended,
                rlimits=fence.rlimits,
                affinity=fence.affinity,
                limit_folders=fence.folders,
            )
        if late.is_set():
            process.kill()
        return process

    def _start_zygote(self, mother: zygote.Zygote) -> None:
        """Have a zygote for the next start, in the background."""

        def start() -> None:
            try:
                if self._attended:
                    mother.start()
                else:
                    mother.want()  # what a stage starts is killed with it
            except (OSError, zygote.Refused) as error:
                self.log.warning("No zygote was started for project %s: %s", self.project, error)

        threading.Thread(target=start, name="himalia-zygote", daemon=True).start()


def _in_papermill() -> bool:
    """Whether papermill starts the kernel, whose notebooks run in the folder where it is run or that of ``--cwd``.

    It tells nobody, but it waits for us further up the stack.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "papermill.execute":
            return True
        frame = frame.f_back
    return False


def _is_launcher(cmd: list[str]) -> bool:
    """Whether the command starts one of our kernels, rather than one of another language."""
    return len(cmd) > 1 and Path(cmd[1]).name == LAUNCHER


def _descriptor(stream: Any, inherited: int, stack: contextlib.ExitStack) -> int:
    """The descriptor that Popen would give the child for *stream*. Raises Refused for a pipe."""
    if stream is None:
        return inherited
    if stream == subprocess.DEVNULL:
        return stack.enter_context(Path(os.devnull).open("wb")).fileno()
    if isinstance(stream, int):
        if stream < 0:
            raise zygote.Refused("its output is wanted through a pipe")
        return stream
    return int(stream.fileno())


async def _in_thread(work: Callable[[], T], seconds: float = SERVICE_SECONDS) -> T:
    """The result of *work*, done in a thread of its own. Raises TimeoutError after *seconds*.

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
    return await asyncio.wait_for(future, seconds)
