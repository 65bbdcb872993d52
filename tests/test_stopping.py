"""Signals that end a command as Ctrl-C does."""

import os
import signal
from collections.abc import Iterator

import pytest

from simlm.stopping import Stopped, exit_status, stoppable

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def as_a_shell_starts_commands() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_heard_once_and_stages_are_ended_in_peace(number: signal.Signals, status: int) -> None:
    ended = False
    with pytest.raises(Stopped) as stopped, stoppable():
        try:
            os.kill(os.getpid(), number)
        finally:
            for again in SIGNALS:
                os.kill(os.getpid(), again)
            ended = True
    assert ended and exit_status(stopped.value) == status
    assert all(signal.getsignal(one) is signal.SIG_DFL for one in SIGNALS)


def test_what_nohup_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stoppable():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    with pytest.raises(Stopped), stoppable():
        os.kill(os.getpid(), signal.SIGTERM)


def test_ctrl_c_has_the_status_of_its_signal() -> None:
    assert exit_status(KeyboardInterrupt()) == 130
