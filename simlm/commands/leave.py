"""How every command writes and ends: output that cannot be shown or written never costs its work, and each end is one
line with the exit status of its kind."""

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from simlm.errors import StageFailed, UserError
from simlm.paths import check_words, make_caches_absolute
from simlm.stopping import exit_status, stoppable

STOPPED = "the same command goes on from the last checkpoints"
PIPE_CLOSED = 141
"""What a shell reports of a program that SIGPIPE ends."""
IN_ASCII = {"−": "-", "–": "-", "━": "-", "±": "+/-", "×": "x", "·": ".", "…": "...", "Δ": "difference "}
FALL_BACK = "simlm"
MACHINE_AT_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.ENFILE, errno.EMFILE)
"""Errors of the system that no change of the code would mend."""


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end]
    return "".join(IN_ASCII.get(one) or one.encode("ascii", "backslashreplace").decode() for one in letters), error.end


codecs.register_error(FALL_BACK, _in_ascii)


class Output:
    """Standard output or error that never raises.

    What its encoding lacks is written in ASCII. Where it cannot be written to, because a pipe's reader has gone or a
    disk is full, the rest is dropped: ``failure`` is the first error.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = io.StringIO() if stream is None else stream  # the command was started with it closed
        self.failure: OSError | None = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=FALL_BACK)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        try:
            self.stream.write(text)
        except OSError as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        self.failure = self.failure or error
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.stream.fileno())  # Python itself writes what it has kept when it ends
        os.close(nothing)


def leave_by(work: Callable[[], object], stopped: str = STOPPED) -> None:
    """Do the work; where its exit status is not 0, leave with it, each but the last after one line.

    1: a stage or the machine failed, or the output could not be written. 2: a user's mistake. 130: Ctrl-C, 143:
    SIGTERM, 129: SIGHUP; ``stopped`` says what there is then. 141: the reader of a pipe has gone.
    """
    output, errors = Output(sys.stdout), Output(sys.stderr)
    with redirect_stdout(output), redirect_stderr(errors):
        status = _status(work, stopped)
        output.flush()
        errors.flush()
        if status == 0 and (failure := output.failure or errors.failure) is not None:
            closed = failure.errno == errno.EPIPE
            status = PIPE_CLOSED if closed else _say(f"failed: cannot write the output: {failure.strerror}", 1)
    if status:
        sys.exit(status)


def _status(work: Callable[[], object], stopped: str) -> int:
    try:
        with stoppable():
            check_words(sys.argv[1:])
            make_caches_absolute()
            work()
    except UserError as error:
        return _say(f"error: {error}", 2)
    except StageFailed as error:
        return _say(f"failed: {error}", 1)
    except KeyboardInterrupt as signal:
        return _say(f"stopped; {stopped}", exit_status(signal))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except OSError as error:
        if error.errno not in MACHINE_AT_FAULT:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"failed: {where}{error.strerror}; mend that and run the same command again", 1)
    return 0


def _say(line: str, status: int) -> int:
    print(" ".join(line.splitlines()), file=sys.stderr)
    return status
