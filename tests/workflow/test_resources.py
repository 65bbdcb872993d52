"""Slots: no more stages at once than there are, and none lost with a process that is killed."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from simlm.errors import UserError
from simlm.workflow.resources import WAITS, Choices, slot
from tests.workflow.driving import ROOT, until

HOLDER = """
import sys, time
from pathlib import Path
from simlm.workflow.resources import slot
with slot(Path(sys.argv[1]), 1):
    print("held", flush=True)
    time.sleep(60)
"""


def test_as_many_at_once_as_there_are_slots(tmp_path: Path) -> None:
    held: list[int] = []
    most: list[int] = []
    lock = threading.Lock()
    both = threading.Barrier(2)

    def work() -> None:
        with slot(tmp_path / "slots", 2) as number:
            with lock:
                held.append(number)
                most.append(len(held))
                assert len(set(held)) == len(held)
            both.wait(timeout=60)
            with lock:
                held.remove(number)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 6 and max(most) == 2


def test_a_slot_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError), slot(tmp_path, 1):
        raise ValueError
    with slot(tmp_path, 1) as number:
        assert number == 0


def test_a_killed_process_gives_its_slot_back(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    got: list[int] = []

    def wait_for_it() -> None:
        with slot(tmp_path, 1) as number:
            got.append(number)

    waiting = threading.Thread(target=wait_for_it)
    waiting.start()
    time.sleep(0.3)
    assert got == []
    holder.kill()
    holder.communicate()
    until(lambda: got, "the slot")
    waiting.join()


def test_of_those_that_wait_the_one_with_the_most_behind_it_goes_first(tmp_path: Path) -> None:
    order: list[int] = []

    def work(behind: int) -> None:
        with slot(tmp_path, 1, behind):
            order.append(behind)

    (tmp_path / f"0009-killed{WAITS}").touch()
    threads = [threading.Thread(target=work, args=[behind]) for behind in (1, 3, 0, 2)]
    with slot(tmp_path, 1):
        for thread in threads:
            thread.start()
        until(lambda: len([*tmp_path.glob(f"*{WAITS}")]) == len(threads), "all of them")
    for thread in threads:
        thread.join()
    assert order == [3, 2, 1, 0] and not [*tmp_path.glob(f"*{WAITS}")]


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert Choices("auto").compute_device() == Choices("cpu").compute_device() == "cpu"
    with pytest.raises(UserError, match="device cuda: torch sees no GPU here"):
        Choices("cuda").compute_device()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert Choices("auto").compute_device() == Choices("cuda").compute_device() == "cuda"


def test_choices_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert Choices.read(tmp_path) == Choices()
    choices = Choices("cuda", 4, "faiss", ("0", "1"), True, 3, "abc+changes", "a processor")
    choices.write(tmp_path)
    assert Choices.read(tmp_path) == choices


def test_a_slot_has_a_gpu_for_each_process() -> None:
    for processes, slots in ((1, [("4",), ("5",)]), (2, [("4", "5"), ("6", "7")])):
        choices = Choices(processes=processes, gpus=("4", "5", "6", "7", "8"))
        assert [choices.gpus_of_slot(number) for number in (0, 1)] == slots
        assert choices.slots() == 5 // processes
