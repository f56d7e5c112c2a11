"""Start ipykernel in a project's environment, with Himalia's own layer at hand.

Run by path: ``python <layer>/himalia/kernel_main.py -f <connection file>``. Beyond the layer it behaves like
``python -m ipykernel_launcher``. The environment needs ipykernel and need not have Himalia.
"""

from __future__ import annotations

import os
import sys
from typing import Any

PACKAGE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 (pathlib is slow to import, and not yet safe)
LAYER = os.path.dirname(PACKAGE)  # noqa: PTH120


CONTROL_SECONDS = 5.0
STAGE_MESSAGES = 50_000
"""How many messages of a stage's kernel wait to be read; of an ordinary one, 1,000."""


def leave_own_folder() -> None:
    """Remove the script's folder, which Python puts first on the path.

    ``-m ipykernel_launcher`` removes its first entry too; IPython adds ``''`` later, behind the library.
    """
    if sys.path and os.path.realpath(sys.path[0]) == PACKAGE:
        del sys.path[0]


def stated_version(package: str) -> str | None:
    """The version that the copy of himalia in the folder *package* states; the copy is not imported."""
    import re

    try:
        with open(os.path.join(package, "_version.py"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            found = re.search(r'^__version__ = "([^"]+)"', file.read(), re.MULTILINE)
    except OSError:
        return None
    return found[1] if found else None


def provide_himalia() -> None:
    """Make ``import himalia`` mean this version.

    Another version in the environment is passed over for this one package only: it is imported here from its
    file, and the layer goes to the end of the path, where it hides nothing.
    """
    import importlib
    import importlib.util

    installed = importlib.util.find_spec("himalia")
    if installed is not None and installed.origin is not None:
        folder = os.path.dirname(installed.origin)  # noqa: PTH120
        if stated_version(folder) == stated_version(PACKAGE):
            importlib.import_module("himalia")
            return
    if LAYER not in sys.path:
        sys.path.append(LAYER)
    location = os.path.join(PACKAGE, "__init__.py")  # noqa: PTH118
    spec = importlib.util.spec_from_file_location("himalia", location, submodule_search_locations=[PACKAGE])
    if spec is None or spec.loader is None:
        raise ImportError(f"no loader for {location}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["himalia"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules["himalia"]
        raise


def use_project_path() -> None:
    """Make the project's own modules importable: the folders of HIMALIA_PATH, behind the standard library."""
    libraries = ("site-packages", "dist-packages")
    names = [os.path.basename(entry) for entry in sys.path]  # noqa: PTH119
    place = next((index for index, name in enumerate(names) if name in libraries), len(names))
    sys.path[place:place] = [folder for folder in project_folders() if folder not in sys.path]


def project_folders() -> list[str]:
    """Where the project's own modules lie, and those of its components."""
    return [folder for folder in os.environ.get("HIMALIA_PATH", "").split(os.pathsep) if folder]


def project_kernel_app() -> Any:
    """The class of a project's kernel: the same for one that starts by itself and one that is forked."""
    from ipykernel.kernelapp import IPKernelApp

    class ProjectKernelApp(IPKernelApp):  # type: ignore[misc]
        """An IPython kernel that loads Himalia's extension beside those that the user configured."""

        def init_iopub(self, context: Any) -> None:
            from himalia._output_pipe import encrypt, use_unix_socket

            if self.transport == "ipc":
                use_unix_socket(self.ip)
            elif getattr(self, "curve_secretkey", None) is not None:  # an older ipykernel has none
                encrypt(self.curve_publickey, self.curve_secretkey)
            if not os.environ.get("HIMALIA_STAGE"):
                super().init_iopub(context)
                return
            # nobody looks at a stage while it writes: what its runner has not read yet must not be thrown away
            before, context.sndhwm = context.sockopts.copy(), STAGE_MESSAGES
            super().init_iopub(context)
            context.sockopts = before

        def init_kernel(self) -> None:
            from himalia._debugger import guard

            super().init_kernel()
            guard()

        def start(self) -> None:
            """Run until shut down, and let the control thread finish before Python's exit functions run.

            The first of them ends the thread that publishes. When the control thread is just then telling through that
            one that it has answered the request to shut down, it waits for ever, and the exit for it.
            """
            try:
                super().start()
            finally:
                if self.control_thread and self.control_thread.is_alive():
                    self.control_thread.stop()
                    self.control_thread.join(CONTROL_SECONDS)

        def init_extensions(self) -> None:
            from himalia import _observed

            _observed.start()  # before any code of the user's
            super().init_extensions()
            try:
                self.shell.extension_manager.load_extension("himalia")
            except Exception:
                self.log.warning("Himalia's magics are missing: its extension failed to load", exc_info=True)
            self._tell_notes()
            self._await_folders()

        def _await_folders(self) -> None:
            """Have a folder of the project's modules searched that is made while the kernel runs."""
            missing = [folder for folder in project_folders() if not os.path.isdir(folder)]  # noqa: PTH112
            events = self.shell.events

            def look(*_: object) -> None:
                for folder in [folder for folder in missing if os.path.isdir(folder)]:  # noqa: PTH112
                    missing.remove(folder)
                    sys.path_importer_cache.pop(folder, None)  # Python remembers that there was none
                if not missing:
                    events.unregister("pre_run_cell", look)

            if missing:
                events.register("pre_run_cell", look)

        def _tell_notes(self) -> None:
            """Say with the first cell what a person should know of this kernel, a sentence a line."""
            notes = os.environ.pop("HIMALIA_NOTES", None)
            if not notes:
                return
            events = self.shell.events

            def tell(*_: object) -> None:
                events.unregister("pre_run_cell", tell)
                sys.stderr.write(notes.rstrip() + "\n")
                sys.stderr.flush()  # before what the cell prints

            events.register("pre_run_cell", tell)

    return ProjectKernelApp


def start_kernel() -> None:
    """Run the kernel until it is shut down."""
    app = project_kernel_app()
    use_project_path()  # not before: a module of the project must not take the place of one that the kernel needs
    app.launch_instance()


def main() -> None:
    leave_own_folder()
    try:
        provide_himalia()
    except Exception as error:
        import warnings

        # a notebook must open even when our layer is broken
        warnings.warn(f"Himalia is not available in this kernel: {error!r}", stacklevel=1)
    start_kernel()


if __name__ == "__main__":
    main()
