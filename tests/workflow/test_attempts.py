"""What stages cost: attempts add up, a killed one counts as far as its last beat, waiting does not."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from simlm.workflow import attempts as cost
from simlm.workflow.attempts import ATTEMPTS, Attempt, attempts, energy_counters
from tests.workflow.driving import ROOT, until

KILLED = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from simlm.workflow import attempts as cost
cost.BEAT_SECONDS = 0.1
with cost.Attempt(Path(sys.argv[1])):
    time.sleep(60)
"""


def test_attempts_add_up_and_a_killed_one_counts_as_far_as_its_last_beat(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT)
    until(lambda: (known := attempts(tmp_path)) and known[0]["cpu_seconds"] > 0, "the first beat")
    first = attempts(tmp_path)[0]["seconds"]
    until(lambda: attempts(tmp_path)[0]["seconds"] > first + 0.3, "later beats")
    process.kill()
    process.wait()
    with Attempt(tmp_path):
        pass
    killed, ended = attempts(tmp_path)
    assert killed["seconds"] > first and killed["started"] < ended["started"]
    assert ended["seconds"] > 0
    assert killed["peak_bytes"] > 10_000_000
    assert killed["cpu_seconds"] > 0


def test_waiting_for_a_slot_does_not_count_even_while_it_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr(cost, "time", SimpleNamespace(perf_counter=lambda: clock, time=time.time, time_ns=time.time_ns))
    with Attempt(tmp_path) as attempt:
        (before,) = attempts(tmp_path)
        attempt.wait()
        clock += 30
        attempt.write()
        (waiting,) = attempts(tmp_path)
        attempt.go_on()
        clock += 1
    (after,) = attempts(tmp_path)
    assert waiting["seconds"] == pytest.approx(before["seconds"])
    assert after["seconds"] == pytest.approx(before["seconds"] + 1)


def test_an_attempt_that_raises_is_counted(tmp_path: Path) -> None:
    with pytest.raises(ValueError), Attempt(tmp_path):
        raise ValueError
    assert len(attempts(tmp_path)) == 1


def test_beats_and_the_stage_can_write_at_once(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path)
    failures = []

    def write() -> None:
        try:
            for _ in range(200):
                attempt.write()
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and len(attempts(tmp_path)) == 1


def test_unreadable_files_are_left_out(tmp_path: Path) -> None:
    assert attempts(tmp_path) == []
    with Attempt(tmp_path):
        pass
    (tmp_path / ATTEMPTS / "0-1.json").write_text("{")
    (tmp_path / ATTEMPTS / "9-1.partial").write_text("{}")
    assert len(attempts(tmp_path)) == 1


def test_energy_is_the_difference_of_the_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "COUNTERS", tmp_path / "powercap")
    assert energy_counters() == {}
    with Attempt(tmp_path / "without"):
        pass
    assert attempts(tmp_path / "without")[0]["energy_joules"] is None
    for number in range(2):
        (tmp_path / "powercap" / f"intel-rapl:{number}").mkdir(parents=True)
        (tmp_path / "powercap" / f"intel-rapl:{number}" / "energy_uj").write_text("1000000\n")
    with Attempt(tmp_path / "with"):
        (tmp_path / "powercap" / "intel-rapl:0" / "energy_uj").write_text("4000000\n")
        # A counter that was set back says nothing.
        (tmp_path / "powercap" / "intel-rapl:1" / "energy_uj").write_text("5\n")
    assert attempts(tmp_path / "with")[0]["energy_joules"] == 3.0
