"""Runs a notebook's cells in a kernel on unix sockets, and tells apart how it ends.

To be imported through :mod:`himalia_kernels.engine` only, for the reason said there.
"""

# mypy: disable-error-code="misc,has-type"

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbclient.util import ensure_async, run_hook, run_sync
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager
from papermill.exceptions import PapermillExecutionError
from papermill.log import logger

from himalia_kernels.endings import CellFailed, KernelDied, StageStopped, status_of
from himalia_kernels.masking import Mask, MaskedPipe
from himalia_kernels.notebook import (
    Tally,
    error_output,
    label,
    runs,
    save,
    stamp,
    stamp_unreached,
)
from himalia_kernels.processes import OomCounter, end_session
from himalia_kernels.ready import wait_until_heard
from himalia_kernels.spec import Oom
from himalia_kernels.watchdog import Watchdog

Progress = Callable[[int, int, str | None], None]
SOCKET_PATH_LIMIT = 100  # the kernel's limit is 108 bytes on Linux, 104 on macOS


class PapermillCellFailed(CellFailed, PapermillExecutionError):
    """A cell raised: the same for those who expect papermill's own exception."""


class HimaliaEngine(NBClientEngine):
    """papermill's engine ``himalia``.

    Beyond papermill's own options it takes ``on_progress`` (called with cell, cells, label), ``watchdog``,
    ``tally``, ``mask`` (what no output may show) and ``runtime_dir`` (where to put the folder of the kernel's
    sockets). It raises CellFailed, KernelDied or StageStopped instead of returning a notebook with an error inside.
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
        **kwargs: Any,
    ) -> Any:
        """Execute *nb* and return it, saved at every step to *output_path*, whatever happens."""
        manager = ExecutionManager(
            nb,
            output_path=output_path,
            progress_bar=progress_bar,
            log_output=log_output,
            autosave_cell_every=autosave_cell_every,
        )
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, log_output=log_output, **kwargs)
        finally:
            manager.cleanup_pbar()
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
                **options,
            )
            client.folder = folder
            client.on_progress = on_progress
            client.watchdog = watchdog or Watchdog()
            client.tally = tally if tally is not None else Tally()
            client.mask = mask or Mask()
            try:
                client.execute()
            finally:
                client.close_pipe()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class ExecutionManager(NotebookExecutionManager):
    """papermill's keeper of the notebook, which saves a local file in one step."""

    def save(self, **kwargs: Any) -> None:
        """Save the notebook as it is."""
        self.nb = kwargs.get("nb") or self.nb
        if self.output_path and "://" not in self.output_path:
            save(self.nb, Path(self.output_path))
            self.last_save_time = self.now()
        else:
            super().save()


class StageClient(PapermillNotebookClient):
    """A notebook client whose kernel listens on unix sockets, and which ends by the exceptions of `endings`."""

    folder: Path
    on_progress: Progress | None
    watchdog: Watchdog
    tally: Tally
    mask: Mask
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
        if self.mask:
            # what it writes past its notebook goes to the log of the stage
            self.pipe = MaskedPipe(self.mask)
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
        except Exception:
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
        """Take a message of the kernel, without secrets."""
        self.mask.document(msg["content"])
        return super().process_message(msg, *args, **kwargs)

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
        except (CellFailed, KernelDied, StageStopped) as error:
            status = status_of(error)
            raise
        except Exception as error:
            ending = self._ending(error)
            if ending is None or ending is error:
                raise
            status = status_of(ending)
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
            try:
                self.execute_cell(cell, index)
            except Exception as error:
                ending = self._ending(error, index)
                self._close_cell(index, ending)
                if ending is None:
                    return
                raise ending from error
            self._close_cell(index, None)
        self._check_stopped()

    def _announce(self, index: int) -> None:
        self.tally.cell = (self.tally.cell or 0) + 1
        self.tally.cell_index = index
        if self.on_progress is not None:
            self.on_progress(self.tally.cell, self.tally.cells, label(self.nb.cells, index))

    def _close_cell(self, index: int, ending: Exception | None) -> None:
        cell = self.nb.cells[index]
        self.mask.outputs(cell)
        if ending is None:
            stamp(cell, "succeeded")
            self.tally.cells_run += runs(cell)
        else:
            self.nb_man.cell_exception(cell, cell_index=index, exception=ending)
            stamp(cell, status_of(ending))
            if not isinstance(ending, CellFailed):
                cell.outputs.append(error_output(type(ending).__name__, str(ending)))
        self.nb_man.cell_complete(cell, cell_index=index)

    def _check_stopped(self) -> None:
        if self.watchdog.reason is not None:
            self.shutdown_kernel = "immediate"
            raise StageStopped(self.watchdog.reason)

    def _ending(self, error: Exception, index: int | None = None) -> Exception | None:
        """What *error* means for the stage; None when the cell asked to end well, by ``sys.exit(0)``."""
        if self.watchdog.reason is not None:
            self.shutdown_kernel = "immediate"
            return StageStopped(self.watchdog.reason)
        returncode = None if self.process is None else self.process.poll()
        if isinstance(error, DeadKernelError) or (returncode is not None and index is None):
            return KernelDied(returncode, self._died_of_memory(returncode))
        if isinstance(error, CellExecutionError) and index is not None:
            if error.ename == "SystemExit" and error.evalue in {"", "0", "None"}:
                return None
            return self._cell_failed(error, index)
        return error

    def _died_of_memory(self, returncode: int | None) -> Oom:
        """A kernel with limits of its own is in a control group of its own, which the provisioner knows."""
        ask = getattr(self.km.provisioner, "died_of_memory", self.oom.verdict)
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
            evalue=self.mask.text(error.evalue),
            traceback=self.mask.document(list(shown[-1]) if shown else [f"{error.ename}: {error.evalue}"]),
        )

    def _read_language(self) -> None:
        info = self.wait_for_reply(self.kc.kernel_info())
        if info is not None:
            self.nb.metadata["language_info"] = info["content"]["language_info"]


def _remove_grant() -> None:
    """Remove the stage's grant, which holds secrets, once its kernel has it."""
    grant = os.environ.get("HIMALIA_GRANT_FILE")
    if grant:
        Path(grant).unlink(missing_ok=True)


def socket_folder(runtime_dir: Path | None = None) -> Path:
    """A new folder for the kernel's sockets, closed to others, with a path short enough for them.

    It is made in *runtime_dir*, or else in the user's runtime folder or a temporary one. Raises OSError when
    the paths of all are too long or closed to us.
    """
    places = [runtime_dir, os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"]  # noqa: S108
    for place in places:
        if not place or not os.access(place, os.W_OK | os.X_OK):
            continue
        folder = Path(tempfile.mkdtemp(prefix="hk-", dir=place))  # mode 0700
        if len(os.fsencode(folder / "k-output")) <= SOCKET_PATH_LIMIT:
            return folder
        folder.rmdir()
    raise OSError("no folder for the kernel's sockets: set TMPDIR to a folder with a short path")
