"""One process that has imported everything, and from which jobs are forked.

Starting a job costs more than a small job does: importing torch, transformers and the rest takes five seconds of a
core. A build has dozens of jobs. So it starts one process that imports once; every ``xsim run`` and ``xsim train``
of the build asks it for a copy of itself, which takes milliseconds, and passes on its own output and its end.

::

    build --starts--> serve  <--asks-- python -m xsim_lib.workflow.warm ask run anc2022/fig1 ...
                        '--forks--> the job, with the asker's arguments, folder, variables and output

This file imports next to nothing: whoever asks must start in no time.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module, metadata
from pathlib import Path

from xsim_lib.evidence.definitions import library

__all__ = ["ask", "serve", "started"]

ADDRESS = "XSIM_WARM"  # the variable that says where to ask; set to nothing, it has every job start for itself
FORKED = "python -m xsim_lib.workflow.warm ask"  # the command that asks, in the place of `xsim`
PRELOAD = (
    *(
        "xsim_lib.app.cli",
        "xsim_lib.study.experiment",
        "xsim_lib.workflow.inprocess",
        "xsim_lib.workflow.execution",
    ),
    *("matplotlib.pyplot", "papermill", "xsim_lib.workflow.verifying"),
)


@contextmanager
def started(modules: Iterable[str] = PRELOAD, *, at_once: bool = False) -> Iterator[None]:
    """Have a warm process at hand within the block; it ends with it, or with this process if that is killed.

    Parameters
    ----------
    modules : what it imports beforehand.
    at_once : import while nobody has asked yet, because somebody will.
    """
    if os.environ.get(ADDRESS) == "":
        yield
        return
    with tempfile.TemporaryDirectory(
        prefix="xsim-", ignore_cleanup_errors=True
    ) as folder:  # a short path: sockets allow 100 letters
        address = str(Path(folder) / "warm")
        with socket.socket(socket.AF_UNIX) as listening:  # from now on who asks waits
            listening.bind(address)
            listening.listen(64)
            number = listening.fileno()
            command = [
                sys.executable,
                "-m",
                "xsim_lib.workflow.warm",
                "serve",
                str(number),
                "now" if at_once else "later",
                *modules,
            ]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[number])
        os.environ[ADDRESS] = address
        try:
            yield
        finally:
            del os.environ[ADDRESS]
            process.stdin.close()
            process.wait()


def ask(arguments: list[str]) -> int:
    """Run ``xsim ARGUMENTS`` in a copy of the warm process, or in this one where there is none; its exit code."""
    address = os.environ.get(ADDRESS)
    if not address:
        return _run(arguments)
    wanted = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b"x"], [1, 2])
        connection.sendall(json.dumps(wanted).encode() + b"\0")
        answer = connection.recv(16)
    if not answer:
        raise ConnectionError("the process that jobs are forked from has ended; build again")
    return int(answer)


def serve(number: str, when: str, *modules: str) -> None:
    """Fork a job for everybody who asks at a socket, until standard input ends; import some modules before the first.

    Parameters
    ----------
    number : of the file descriptor of the socket.
    when : "now", or "later": a build with nothing to do asks for nothing, and nothing is imported.
    """
    with socket.socket(fileno=int(number)) as listening:
        server = _Server(listening, modules)
        if when == "now":
            server.prepare()
        server.run()


class _Server:
    """Who is waiting for which job."""

    def __init__(self, listening: socket.socket, modules: Iterable[str]):
        self.listening, self.modules = listening, list(modules)
        self.jobs: dict[int, socket.socket | None] = {}  # None: nobody waits any more
        self.selector = selectors.DefaultSelector()
        self.selector.register(listening, selectors.EVENT_READ, self._accept)
        self.selector.register(0, selectors.EVENT_READ, self._ended)
        # A child that ends writes into a pipe, so that there is one place to wait.
        read, write = os.pipe()
        os.set_blocking(write, False)
        self.selector.register(read, selectors.EVENT_READ, self._reap)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # Ctrl-C reaches the whole group; the build ends us

    def run(self) -> None:
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)

    def _accept(self, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        _, files, _, _ = socket.recv_fds(connection, 1, 2)
        text = b""
        while not text.endswith(b"\0"):
            if not (part := connection.recv(65536)):
                break
            text += part
        else:
            self._fork(connection, files, json.loads(text[:-1]))
        for file in files:
            os.close(file)

    def _fork(self, connection: socket.socket, files: list[int], wanted: dict) -> None:
        if self.modules:  # whoever asks meanwhile waits
            self.prepare()
        pid = os.fork()
        # A group of its own, by which it can be ended; said on both sides, as either may come first.
        with suppress(OSError):
            os.setpgid(pid, pid)
        if pid:
            self.jobs[pid] = connection
            self.selector.register(connection, selectors.EVENT_READ, self._gone)
            return
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        gc.set_threshold(
            100_000, 20, 20
        )  # a page makes many small things, hardly any of them in circles
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, file in enumerate((nothing, *files)):
            os.dup2(file, number)
        for waiting in (self.listening, connection, *filter(None, self.jobs.values())):
            waiting.close()
        os.chdir(wanted["folder"])
        os.environ.clear()
        os.environ.update(wanted["environment"])
        code = 1
        try:
            code = _run(wanted["arguments"])
        finally:
            with suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def prepare(self) -> None:
        """Do once what every job would do."""
        while self.modules:
            import_module(self.modules.pop(0))
        known = library()  # as the code that was just imported stands on disk
        known.fingerprints(known.all_functions())
        gc.collect()
        gc.freeze()  # no job need look for garbage in what is imported: that took a third of a small job's time

    def _reap(self, pipe: int) -> None:
        os.read(pipe, 4096)
        while self.jobs:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            connection = self.jobs.pop(pid)
            if connection is None:
                continue
            self.selector.unregister(connection)
            with suppress(OSError):
                connection.sendall(str(abs(os.waitstatus_to_exitcode(status))).encode())
            connection.close()

    def _gone(self, connection: socket.socket) -> None:
        """Who asked was killed, and so is the job; unless it has just ended by itself."""
        for pid, waiting in self.jobs.items():
            if waiting is connection:
                self.selector.unregister(connection)
                connection.close()
                self.jobs[pid] = None
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGTERM)

    def _ended(self, _: object) -> None:
        for pid in self.jobs:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
        # A build that was killed cannot tidy up.
        address = Path(self.listening.getsockname())
        address.unlink(missing_ok=True)
        with suppress(OSError):
            address.parent.rmdir()
        raise SystemExit(0)


def _run(arguments: list[str]) -> int:
    command = next(iter(metadata.entry_points(group="console_scripts", name="xsim")))
    sys.argv = ["xsim", *arguments]
    try:
        command.load()()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "serve":
        serve(*rest)
    else:
        raise SystemExit(ask(rest))
