"""Runs a notebook's cells in a kernel on unix sockets, and tells apart how it ends.

To be imported through :mod:`himalia_kernels.engine` only, for the reason said there.
"""

# mypy: disable-error-code="misc,has-type"

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any

from nbclient.exceptions import CellExecutionComplete, CellExecutionError, CellTimeoutError, DeadKernelError
from nbclient.util import ensure_async, run_hook, run_sync
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine
from papermill.exceptions import PapermillExecutionError
from papermill.log import logger

from himalia_kernels._keeping import ExecutionManager
from himalia_kernels.caps import PIECE, LogCap, OutputCap, shorten
from himalia_kernels.endings import CellFailed, KernelDied, StageStopped, status_of
from himalia_kernels.masking import Mask, MaskedPipe
from himalia_kernels.notebook import (
    Tally,
    error_output,
    label,
    runs,
    stamp,
    stamp_unreached,
)
from himalia_kernels.processes import OomCounter, end_session
from himalia_kernels.ready import KernelSilent, wait_until_heard
from himalia_kernels.sockets import socket_folder
from himalia_kernels.spec import Oom
from himalia_kernels.watchdog import Reason, Watchdog

Progress = Callable[[int, int, str | None], None]
CellEnd = Callable[[int, float, str], None]
LOOK_SECONDS = 0.5
IOPUB_SECONDS = 600
"""How long to read what a cell has shown when it has ended; nbclient would fail after 4 s."""
QUIET_SECONDS = 2.0
LOST = (
    "… output was lost here: the cell wrote faster than it could be read. Write long output to a file of the stage.\n"
)


class PapermillCellFailed(CellFailed, PapermillExecutionError):
    """A cell raised: the same for those who expect papermill's own exception."""


class HimaliaEngine(NBClientEngine):
    """papermill's engine ``himalia``.

    Beyond papermill's own options it takes ``on_progress`` (called with cell, cells, label), ``on_cell_end`` (with
    cell, seconds, status), ``watchdog``, ``tally``, ``mask`` (what no output may show), ``cap`` and ``log_cap`` (how
    much of it is kept), ``save_seconds`` (how often to save at most) and ``runtime_dir`` (where to put the folder of
    the kernel's sockets). It raises KernelDied or StageStopped, and with a watchdog CellFailed, instead of returning a
    notebook with an error inside.
    """

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: bool | dict[str, Any] = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        save_seconds: float = 0.0,
        **kwargs: Any,
    ) -> Any:
        """Execute *nb* and return it, saved at every step to *output_path*, whatever happens.

        With *save_seconds*, steps that follow each other faster than that are saved together, and a cell's output also
        while it runs.
        """
        manager = ExecutionManager(
            nb,
            output_path=output_path,
            progress_bar=progress_bar,
            log_output=log_output,
            autosave_cell_every=autosave_cell_every,
        )
        manager.save_seconds = save_seconds
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, log_output=log_output, **kwargs)
        finally:
            manager.cleanup_pbar()
            manager.save_seconds = 0.0
            manager.notebook_complete()
        return manager.nb

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: float = 60,
        execution_timeout: float | None = None,
        on_progress: Progress | None = None,
        watchdog: Watchdog | None = None,
        tally: Tally | None = None,
        mask: Mask | None = None,
        runtime_dir: Path | None = None,
        on_cell_end: CellEnd | None = None,
        cap: OutputCap | None = None,
        log_cap: LogCap | None = None,
        **kwargs: Any,
    ) -> None:
        """Execute the cells. Times are in seconds; *execution_timeout* is for one cell."""
        options = {name: value for name, value in kwargs.items() if name not in {"input_path", "timeout"}}
        folder = socket_folder(runtime_dir)
        try:
            client = StageClient(
                nb_man,
                kernel_name=kernel_name,
                timeout=execution_timeout or kwargs.get("timeout"),
                startup_timeout=start_timeout,
                log=logger,
                log_output=log_output,
                stdout_file=stdout_file,
                stderr_file=stderr_file,
                **{"iopub_timeout": IOPUB_SECONDS} | options,
            )
            client.folder = folder
            client.on_progress = on_progress
            client.watchdog = watchdog or Watchdog()
            client.tally = tally if tally is not None else Tally()
            client.mask = mask or Mask()
            client.on_cell_end, client.cap, client.log_cap = on_cell_end, cap, log_cap
            try:
                client.execute()
            except PapermillCellFailed:
                # without a stage it is papermill that raises, and that shows in the notebook where to look
                if watchdog is not None:
                    raise
            finally:
                client.close_pipe()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class StageClient(PapermillNotebookClient):
    """A notebook client whose kernel listens on unix sockets, and which ends by the exceptions of `endings`."""

    folder: Path
    on_progress: Progress | None
    watchdog: Watchdog
    tally: Tally
    mask: Mask
    on_cell_end: CellEnd | None = None
    cap: OutputCap | None = None
    log_cap: LogCap | None = None
    pipe: MaskedPipe | None = None
    process: Any = None

    def create_kernel_manager(self) -> Any:
        """A manager for a kernel that no other user of the host can reach."""
        manager = super().create_kernel_manager()
        manager.transport = "ipc"
        manager.ip = str(self.folder / "k")
        manager.connection_file = str(self.folder / "kernel.json")
        if any("ipykernel" in part or "kernel_main" in part for part in manager.kernel_spec.argv):
            self.extra_arguments = [*self.extra_arguments, "--HistoryManager.hist_file=:memory:"]
        return manager

    async def async_start_new_kernel(self, **kwargs: Any) -> None:
        """Start the kernel and put it under the watchdog."""
        if self.mask or self.log_cap is not None:
            # what it writes past its notebook goes to the log of the stage
            self.pipe = MaskedPipe(self.mask, self.log_cap)
            kwargs |= {"stdout": self.pipe.writer, "stderr": self.pipe.writer}
        await super().async_start_new_kernel(**kwargs)
        _remove_grant()
        self.process = getattr(self.km.provisioner, "process", None)
        if self.process is not None:
            self.watchdog.attach(self.process)

    async def async_start_new_kernel_client(self) -> Any:
        """Open the channels and wait for the kernel. Ends it when it does not come."""
        try:
            self.kc = self.km.client()
            await ensure_async(self.kc.start_channels())
            if not await wait_until_heard(self.kc, self.startup_timeout):
                await ensure_async(self.kc.wait_for_ready(timeout=self.startup_timeout))
        except Exception as error:
            if isinstance(error, KernelSilent):
                self.watchdog.stop("timed_out", "start")
                self.shutdown_kernel = "immediate"  # it would not hear the request either
            await self._async_cleanup_kernel()
            raise
        self.kc.allow_stdin = False
        await run_hook(self.on_notebook_start, notebook=self.nb)
        return self.kc

    # the base class binds its own coroutines here, so an override has to be bound again
    start_new_kernel = run_sync(async_start_new_kernel)
    start_new_kernel_client = run_sync(async_start_new_kernel_client)

    def close_pipe(self) -> None:
        """Write what the kernel wrote last."""
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None

    def process_message(self, msg: Any, *args: Any, **kwargs: Any) -> Any:
        """Take a message of the kernel, without secrets and as far as there is room for it."""
        self.mask.document(msg["content"])
        if self.cap is not None and not self.cap.admit(msg["msg_type"], msg["content"]):
            return None
        self.nb_man.changed = True
        return super().process_message(msg, *args, **kwargs)

    def output(self, outs: list[Any], msg: Any, display_id: str | None, cell_index: int) -> Any:
        """Add an output; where there is a cap, what a stream says in small pieces becomes one output."""
        out = super().output(outs, msg, display_id, cell_index)
        if self.cap is not None and out is not None and out.output_type == "stream" and len(outs) > 1:
            before = outs[-2]
            same = before.output_type == "stream" and before.name == out.name
            if same and outs[-1] is out and len(before.text) < PIECE:
                before.text += out.text
                del outs[-1]
        return out

    async def async_execute_cell(self, *args: Any, **kwargs: Any) -> Any:
        """Run a cell, and save meanwhile what it has shown."""
        saver = asyncio.ensure_future(self._save_changes())
        try:
            return await super().async_execute_cell(*args, **kwargs)
        finally:
            saver.cancel()

    execute_cell = run_sync(async_execute_cell)

    async def _async_poll_output_msg(self, parent_msg_id: str, cell: Any, cell_index: int) -> None:
        """Take the cell's output until the kernel says that this was all, or nothing comes any more.

        A kernel that writes faster than it is read throws messages away, that one included.
        """
        while True:
            try:
                msg = await ensure_async(self.kc.iopub_channel.get_msg(timeout=QUIET_SECONDS))
            except Empty:
                if "shell.execute_reply" in cell.metadata.get("execution", {}):
                    cell.outputs.append(new_output("stream", name="stderr", text=LOST))
                    self.tally.lost.append(self.tally.cell or 0)
                    return
                continue
            if msg["parent_header"].get("msg_id") == parent_msg_id:
                try:
                    self.process_message(msg, cell, cell_index)
                except CellExecutionComplete:
                    return

    async def _save_changes(self) -> None:
        while self.nb_man.save_seconds:
            await asyncio.sleep(min(LOOK_SECONDS, self.nb_man.save_seconds))
            self.nb_man.save_changes()

    def execute(self, **kwargs: Any) -> Any:
        """Run every cell, then leave no process of the kernel's session."""
        self.reset_execution_trackers()
        self.tally.cells = sum(runs(cell) for cell in self.nb.cells)
        self.oom = OomCounter()
        status = "failed"
        try:
            self._check_stopped()
            with self.setup_kernel(**kwargs):
                self._read_language()
                self.papermill_execute_cells()
                self.set_widgets_metadata()
                self.mask.document(self.nb.metadata.get("widgets"))
            status = "succeeded"
        except (CellFailed, KernelDied, StageStopped, CellTimeoutError) as error:
            status = _status(error)
            raise
        except Exception as error:
            ending = self._ending(error)
            if ending is None or ending is error:
                raise
            status = _status(ending)
            raise ending from error
        finally:
            stamp_unreached(self.nb)
            self.nb.metadata["himalia"] = {"status": status}
            if self.process is not None:
                end_session(self.process.pid)
        return self.nb

    def papermill_execute_cells(self) -> None:
        """Run the cells in order. Raises CellFailed, KernelDied or StageStopped at the first that ends so."""
        for index, cell in enumerate(self.nb.cells):
            self._check_stopped()
            if runs(cell):
                self._announce(index)
            self.nb_man.cell_start(cell, index)
            started = time.monotonic()
            try:
                if runs(cell):
                    self.watchdog.cell_started()
                self.execute_cell(cell, index)
            except Exception as error:
                ending = self._ending(error, index)
                self._close_cell(index, ending, time.monotonic() - started)
                if ending is None:
                    self.tally.exited = self.tally.cell
                    return
                raise ending from error
            self._close_cell(index, None, time.monotonic() - started)
        self._check_stopped()

    def _announce(self, index: int) -> None:
        self.tally.cell = (self.tally.cell or 0) + 1
        self.tally.cell_index = index
        if self.cap is not None:
            self.cap.start_cell(self.tally.cell)
        if self.on_progress is not None:
            self.on_progress(self.tally.cell, self.tally.cells, label(self.nb.cells, index))

    def _close_cell(self, index: int, ending: Exception | None, seconds: float) -> None:
        self.watchdog.cell_ended()
        cell = self.nb.cells[index]
        self.mask.outputs(cell)
        status = "succeeded" if ending is None else _status(ending)
        if ending is not None:
            self.nb_man.cell_exception(cell, cell_index=index, exception=ending)
            if not isinstance(ending, CellFailed):
                cell.outputs.append(error_output(type(ending).__name__, str(ending)))
        stamp(cell, status)
        self.nb_man.cell_complete(cell, cell_index=index)
        if runs(cell):
            self.tally.cells_run += ending is None
            self.tally.seconds.append(round(seconds, 3))
            if self.on_cell_end is not None and self.tally.cell is not None:
                self.on_cell_end(self.tally.cell, seconds, status)

    def _check_stopped(self) -> None:
        if self.watchdog.reason is not None:
            self.shutdown_kernel = "immediate"
            raise self._stopped(self.watchdog.reason)

    def _ending(self, error: Exception, index: int | None = None) -> Exception | None:
        """What *error* means for the stage; None when the cell asked to end well, by ``sys.exit(0)``."""
        if self.watchdog.reason is not None:
            self.shutdown_kernel = "immediate"
            return self._stopped(self.watchdog.reason)
        returncode = None if self.process is None else self.process.poll()
        if isinstance(error, DeadKernelError) or (returncode is not None and index is None):
            return KernelDied(returncode, self._died_of_memory(returncode))
        if isinstance(error, CellTimeoutError):
            self.shutdown_kernel = "immediate"  # it still runs the cell
        if isinstance(error, CellExecutionError) and index is not None:
            if error.ename == "SystemExit" and error.evalue in {"", "0", "None"}:
                return None
            return self._cell_failed(error, index)
        return error

    def _stopped(self, reason: Reason) -> StageStopped:
        watchdog = self.watchdog
        lengths = {
            "stage": watchdog.timeout_s,
            "cell": watchdog.cell_timeout_s,
            "start": float(self.startup_timeout),
        }
        return StageStopped(reason, watchdog.limit, lengths.get(watchdog.limit or ""))

    def _died_of_memory(self, returncode: int | None) -> Oom:
        """A kernel with limits of its own is in a control group of its own, which the provisioner knows."""
        provisioner = self.km.provisioner if self.km is not None else None  # it may have been cleaned up
        ask = getattr(provisioner, "died_of_memory", self.oom.verdict)
        verdict: Oom = ask(returncode)
        return verdict

    def _cell_failed(self, error: CellExecutionError, index: int) -> PapermillCellFailed:
        cell = self.nb.cells[index]
        shown = [output.traceback for output in cell.outputs if output.output_type == "error"]
        return PapermillCellFailed(
            cell_index=index,
            exec_count=cell.execution_count,
            source=cell.source,
            ename=error.ename,
            evalue=shorten(self.mask.text(error.evalue)),
            traceback=self.mask.document(list(shown[-1]) if shown else [f"{error.ename}: {error.evalue}"]),
        )

    def _read_language(self) -> None:
        info = self.wait_for_reply(self.kc.kernel_info())
        if info is not None:
            self.nb.metadata["language_info"] = info["content"]["language_info"]


def _status(error: Exception) -> str:
    """The status that an ending stands for, nbclient's own time limit included."""
    return "timed_out" if isinstance(error, CellTimeoutError) else status_of(error)


def _remove_grant() -> None:
    """Remove the stage's grant, which holds secrets, once its kernel has it."""
    grant = os.environ.get("HIMALIA_GRANT_FILE")
    if grant:
        Path(grant).unlink(missing_ok=True)
