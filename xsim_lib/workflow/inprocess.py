"""Notebooks that run in the current process: no kernel to start, and what their cells run can be traced.

papermill keeps doing what it does, with one of its engines replaced: where its client would send a cell to
another process, the cell goes to an IPython shell of this one. Outputs are the same messages, and arrive
while the cell runs.
"""

from __future__ import annotations

import asyncio
import atexit
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

import matplotlib
import pandas as pd
from ipykernel.inprocess.blocking import BlockingInProcessKernelClient
from ipykernel.inprocess.channels import InProcessChannel
from ipykernel.inprocess.ipkernel import InProcessInteractiveShell, InProcessKernel
from ipykernel.iostream import IOPubThread
from matplotlib import pyplot as plt
from matplotlib_inline.backend_inline import InlineBackend, configure_inline_support
from nbclient.exceptions import CellExecutionComplete, CellExecutionError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.log import logger
from traitlets import Type, default
from traitlets.config import Config

from xsim_lib.evidence import tracing
from xsim_lib.evidence.definitions import library

__all__ = ["ENGINE", "environment"]

ENGINE = "xsim"  # what `papermill.execute_notebook` takes as `engine_name`


class _Engine(NBClientEngine):
    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, log_output=False, **_: Any) -> None:
        _Client(nb_man, kernel_name=kernel_name, log=logger, log_output=log_output).execute()


class _Client(PapermillNotebookClient):
    """papermill's client; only what it does with a kernel is done otherwise."""

    def execute(self) -> NotebookNode:
        self.reset_execution_trackers()
        if (
            _in_event_loop()
        ):  # the shell then runs cells in a thread of its own, where nobody watches
            tracing.include(library().all_functions())
        with _kernel() as kernel:
            self._shell = _Shell(kernel=kernel, session=kernel.session)
            self._shell.start_channels()
            self.papermill_execute_cells()
            self.nb.metadata["language_info"] = kernel.language_info
            self.set_widgets_metadata()
        return self.nb

    def execute_cell(self, cell: NotebookNode, cell_index: int) -> NotebookNode:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or not cell.source.strip() or self.skip_cells_with_tag in tags:
            return cell
        cell.metadata["execution"] = {}
        cell.outputs = []
        self.clear_before_next_output = False
        reply = self._shell.run(cell.source, lambda m: self.process_message(m, cell, cell_index))
        if reply["status"] == "error" and "raises-exception" not in tags:
            raise CellExecutionError.from_cell_and_msg(cell, reply)
        return cell

    def output(self, outs: list, *args: Any) -> NotebookNode | None:
        out = super().output(outs, *args)
        names = [o.get("name") for o in outs[-2:]]
        if out is not None and len(outs) > 1 and names[0] == names[1] is not None:
            outs[-2].text += outs.pop().text  # a kernel collects what is printed, too
        return out

    def log_output_message(self, output: NotebookNode) -> None:
        # Not by a logger: what a notebook does to logging would send it back to the cell.
        if output.get("name") == "stderr":
            print(output.text, end="", file=sys.stderr, flush=True)


class _Channel(InProcessChannel):
    def call_handlers(self, msg: dict) -> None:
        self.client.handle(msg)


class _Shell(BlockingInProcessKernelClient):
    """Runs cells, and hands on what they say while they run."""

    iopub_channel_class = Type(_Channel)

    def run(self, source: str, handle: Callable[[dict], object]) -> dict:
        """Run one cell; return the content of the reply."""
        self.handle = handle
        self.execute(source)
        return self.get_shell_msg(timeout=0)["content"]

    def handle(self, message: dict) -> None:
        """Do nothing: no cell runs."""


class ZMQInteractiveShell(InProcessInteractiveShell):
    """Called as the shell of a kernel process is, which is how pandas and others tell a page from a terminal."""


class _Kernel(InProcessKernel):
    """A kernel without threads: whatever a cell says has been handled when the cell has ended."""

    shell_class = ZMQInteractiveShell

    def __init__(self, **traits: Any):
        self._outside = sys.stdout, sys.stderr
        super().__init__(stdout=_STREAMS[0], stderr=_STREAMS[1], **traits)

    @default("iopub_thread")
    def _default_iopub_thread(self) -> IOPubThread:
        return IOPubThread(self._underlying_iopub_socket, session=self.session)

    def _io_dispatch(self, change: dict) -> None:
        # What is printed now is no output of the cell. nbclient raises its end, to leave a loop.
        with self._outside_of_cells(), suppress(CellExecutionComplete):
            super()._io_dispatch(change)

    @contextmanager
    def _outside_of_cells(self) -> Iterator[None]:
        with redirect_stdout(self._outside[0]), redirect_stderr(self._outside[1]):
            yield

    def say(self, stream: str, text: str) -> None:
        """Publish what a cell has printed."""
        content = {"name": stream, "text": text}
        self.session.send(self.iopub_socket, "stream", content, parent=self.get_parent())


class _Stream(io.TextIOBase):
    """Standard output or error: of the cell that runs; else of this process.

    One for all notebooks of a process, because loggers keep the stream that they found when they were made.
    """

    encoding = "utf-8"

    def __init__(self, name: str):
        self.name, self.kernel, self._text = name, None, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._text += text
        if "\n" in text:
            self.flush()
        return len(text)

    def flush(self) -> None:
        text, self._text = self._text, ""
        if text and self.kernel is not None:
            self.kernel.say(self.name, text)
        elif text:
            getattr(sys, f"__{self.name}__").write(text)


_STREAMS = (_Stream("stdout"), _Stream("stderr"))


def _in_event_loop() -> bool:
    """Whether this thread is running one, as that of a server or of a driven browser does."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ |= values
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _kernel() -> Iterator[_Kernel]:
    """A fresh shell whose figures are shown inline; what it changes of this process is put back."""
    hook, path, variables = sys.excepthook, list(sys.path), dict(os.environ)
    with (
        tempfile.TemporaryDirectory() as scratch,
        environment(IPYTHONDIR=scratch, PYDEVD_DISABLE_FILE_VALIDATION="1"),
        matplotlib.rc_context(),
        # pandas was imported, as if for a terminal; and on a page there is room for more than fifty letters.
        pd.option_context("display.max_columns", 20, "display.max_colwidth", 200),
    ):
        matplotlib.rc_file_defaults()  # not what another page of this process has set
        kernel = _Kernel(config=Config({"HistoryManager": {"enabled": False}}))
        kernel.shell.autoawait = False  # the one thing that a kernel of this kind cannot do
        kernel.shell.enable_matplotlib("inline")
        sys.path.insert(0, "")  # as in any kernel: the folder of the notebook
        try:
            for stream in _STREAMS:
                stream.kernel = kernel
            yield kernel
        finally:
            for stream in _STREAMS:
                stream.flush()
                stream.kernel = None
            plt.close("all")
            configure_inline_support(
                kernel.shell, "none"
            )  # or the next shell would show no figures
            InlineBackend.clear_instance()
            atexit.unregister(kernel.shell.atexit_operations)
            kernel.shell.atexit_operations()
            kernel.shell.cleanup()
            kernel.shell.clear_instance()
            sys.excepthook, sys.path[:] = hook, path
            os.environ.clear()  # a shell says there that it has colours
            os.environ.update(variables)


papermill_engines.register(ENGINE, _Engine)
