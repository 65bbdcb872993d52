"""What ends a command from outside: Ctrl-C, and the signals that terminals and schedulers send."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(KeyboardInterrupt):
    """A signal that does what Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does while the block runs.

    One that is ignored stays ignored, as SIGHUP is under nohup. After the first one both are, so that the stages are
    ended in peace: schedulers repeat what they send.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def stop(number: int, _: FrameType | None) -> None:
        for one in heard:
            signal.signal(one, lambda *_: None)  # not SIG_IGN, which processes that are started would inherit
        raise Stopped(number)

    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def exit_status(stopped: KeyboardInterrupt) -> int:
    """Return the exit status of a command that was stopped: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + (stopped.number if isinstance(stopped, Stopped) else signal.SIGINT)
