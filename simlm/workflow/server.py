"""Start stages in a fraction of a second: a server imports the libraries once and forks a process for each stage.

Importing torch and transformers takes seconds, a fork milliseconds. The server computes nothing, starts no thread and
touches no GPU, so that its forks are safe. It speaks one JSON object a line. On its standard input it reads what to
start, as `StageServer.start` writes it. On its standard output it answers ``{"pid": 12}`` for each of them, in order,
and later ``{"pid": 12, "status": 0}`` when that process has ended; if a signal ended it, the last line of its log says
so. The server ends when its input is closed, that is with the command; the processes that it started go on.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import queue
import runpy
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import psutil

from simlm.workflow.sources import sources_digest


class Started(NamedTuple):
    """A process that the server forked, and its exit status when it has ended (None when nobody knows it)."""

    pid: int
    status: "Future[int | None]"


class StageServer:
    """The server as a command sees it."""

    def __init__(self) -> None:
        # A session of its own: Ctrl-C is for the command, which then ends the stages and, by closing, the server.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simlm.workflow.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started: queue.Queue[Started | None] = queue.Queue()
        self.asking = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(
        self,
        script: Path,
        folder: Path,
        imports: Iterable[str],
        logs: tuple[Path, Path],
        environment: Mapping[str, str],
    ) -> Started:
        """Start a stage.

        Args:
            script: the Python file to run.
            folder: the working directory.
            imports: modules that the server imports first, unless it has them already.
            logs: files for standard output and standard error.
            environment: the process's whole environment.

        Raises:
            OSError: the server has ended.
        """
        request = {
            "script": str(script),
            "folder": str(folder),
            "imports": list(imports),
            "logs": [str(log) for log in logs],
            "environment": dict(environment),
        }
        assert self.process.stdin is not None
        with self.asking:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            started = self.started.get()
        if started is None:
            raise OSError(f"the server that starts stages ended with status {self.process.wait()}")
        return started

    def close(self) -> None:
        """End the server; the stages that it started go on."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        running: dict[int, Future[int | None]] = {}
        for line in self.process.stdout:
            said = json.loads(line)
            if "status" in said:
                running.pop(said["pid"]).set_result(said["status"])
            else:
                running[said["pid"]] = Future()
                self.started.put(Started(said["pid"], running[said["pid"]]))
        self.started.put(None)
        for pid, status in running.items():
            if psutil.pid_exists(pid):
                psutil.wait_procs([psutil.Process(pid)])
            status.set_result(None)


def stage_server() -> StageServer:
    """Return the server of this process: it is started when it is first asked for, and anew if it has ended."""
    if _server().process.poll() is not None:
        _server.cache_clear()
    return _server()


def is_server(pid: int) -> bool:
    """Return whether the process with that number is this process's stage server."""
    return _server.cache_info().currsize > 0 and _server().process.pid == pid


@cache
def _server() -> StageServer:
    server = StageServer()
    atexit.register(server.close)
    return server


def serve() -> dict[str, Any] | None:
    """Fork a process for each line of standard input.

    Returns:
        In a forked process, what it was asked to run; in the server, None when its input is closed.
    """
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    unread = b""
    logs: dict[int, str] = {}
    while True:
        ready, _, _ = select.select([0, ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            _report_ended(logs)
        if 0 in ready:
            block = os.read(0, 65_536)
            if not block:
                return None
            *lines, unread = (unread + block).split(b"\n")
            for line in lines:
                request: dict[str, Any] = json.loads(line)
                for name in request["imports"]:
                    with contextlib.suppress(Exception):  # the stage meets the same error, and its log says so
                        importlib.import_module(name)
                with contextlib.suppress(Exception):
                    sources_digest(tuple(request["imports"]))  # reads for all stages the code that each has a digest of
                gc.freeze()  # no fork goes through the libraries' objects to collect them
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.close(ended)
                    os.close(wake)
                    return request
                logs[pid] = request["logs"][1]
                _say({"pid": pid})


def run(request: Mapping[str, Any]) -> NoReturn:
    """Become the process that was asked for, run its script, and end with its status.

    The end is immediate: Python would take two seconds to let go of the libraries.
    """
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output, errors = (os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666) for log in request["logs"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, target in enumerate((nothing, output, errors)):
        os.dup2(target, number)
        os.close(target)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = [request["script"]]
    status = 0
    try:
        runpy.run_path(request["script"], run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _report_ended(logs: dict[int, str]) -> None:
    while True:
        try:
            pid, ending, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        status, log = os.waitstatus_to_exitcode(ending), logs.pop(pid)
        if status < 0:
            line = f"its process was ended by {name_of(-status)}; {memory(usage.ru_maxrss * 1024)}"
            with contextlib.suppress(OSError), open(log, "a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")
        _say({"pid": pid, "status": status})


def name_of(number: int) -> str:
    """Return the name of a signal, such as SIGKILL; real-time signals have numbers only."""
    return signal.Signals(number).name if number in list(signal.Signals) else f"signal {number}"


def memory(peak_bytes: int) -> str:
    """Return how much of the machine's memory a process has used, in words."""
    used, total = peak_bytes >> 20, psutil.virtual_memory().total >> 20
    return f"it had {used:,} MiB of memory at its most, of this machine's {total:,} MiB"


def _say(line: Mapping[str, int]) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    if (asked := serve()) is not None:
        run(asked)
