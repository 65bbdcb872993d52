"""Drivers and stages that are killed, stopped, or started twice."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.workflow.driving import (
    ROOT,
    attempts,
    damage,
    drive,
    end,
    kill_all,
    made,
    manifest,
    stage_processes,
    start,
    steps,
    until,
)

SLOW = {"SIMLM_TOY_STEPS": "30"}
QUICK = {"SIMLM_TOY_STEPS": "5"}


def test_a_killed_stage_goes_on_and_both_attempts_count(tmp_path: Path) -> None:
    driver = start(tmp_path, "leaf", **SLOW)
    until(lambda: len(steps(tmp_path)) >= 5, "five steps")
    kill_all(driver, tmp_path)
    (job,) = tmp_path.glob("jobs/*.number/*")
    progress = json.loads((job / "progress.json").read_text())
    assert progress["description"] == "counting" and 0 < progress["done"] <= progress["total"] == 30
    (job / "output" / "half-written").touch()

    again = drive(tmp_path, "leaf", **SLOW)
    assert again.status == 0
    sealed = manifest(job)
    assert sealed["numbers"]["resumed_from"] >= 5
    assert list(sealed["outputs"]) == ["number.txt"]
    assert len(sealed["attempts"]) == 2
    assert all(attempt["seconds"] > 0 for attempt in sealed["attempts"])


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGKILL, "for want of memory"), (signal.SIGTERM, "SIGTERM"), (signal.SIGSEGV, "at its most")],
)
def test_a_driver_says_by_which_signal_its_stage_ended_and_the_next_one_goes_on(
    number: signal.Signals, said: str, tmp_path: Path
) -> None:
    """By SIGKILL as a system does that runs out of memory: the process cannot note how it ended."""
    driver = start(tmp_path, "leaf", SIMLM_TOY_MEMORY="200", **SLOW)
    until(lambda: len(steps(tmp_path)) >= 5, "five steps")
    (process,) = stage_processes(tmp_path)
    process.send_signal(number)
    killed = end(driver)
    assert killed.status == 1
    (line,) = killed.said("failure")
    (log,) = tmp_path.glob("jobs/*.number/*/number.err")
    assert line.startswith("leaf failed: ") and number.name in line and said in line and line.endswith(f"(see {log})")
    if number != signal.SIGTERM:  # which a stage hears itself
        peak = int(line.split("it had ")[1].split(" MiB")[0].replace(",", ""))
        assert 200 < peak < 2_000
    assert "counting" not in line
    again = drive(tmp_path, "leaf", **SLOW)
    assert again.status == 0
    assert manifest(again.jobs["leaf"])["numbers"]["resumed_from"] >= 5


def test_a_stage_that_is_begun_again_when_it_is_done_does_nothing(tmp_path: Path) -> None:
    """As Slurm does with a job whose node is lost in its last moment."""
    job = drive(tmp_path, "leaf").jobs["leaf"]
    sealed, done = manifest(job), job / "number.done"
    done.unlink()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([job / "number.py"], check=True, capture_output=True, env=environment)
    assert manifest(job) == sealed and done.exists()


def test_work_on_outputs_that_were_made_again_is_not_resumed(tmp_path: Path) -> None:
    driver = start(tmp_path, "restless", **SLOW)
    until(lambda: len(steps(tmp_path, "sum")) >= 5, "five steps of the sums")
    kill_all(driver, tmp_path)
    (leaf,) = tmp_path.glob("jobs/*.restless/*")
    damage(leaf)
    again = drive(tmp_path, "restless", **QUICK)
    assert again.status == 0
    assert [manifest(again.jobs[name])["numbers"]["resumed_from"] for name in ("left", "right")] == [0, 0]


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(kills: int, tmp_path: Path) -> None:
    rng = random.Random(kills)
    for _ in range(kills):
        driver = start(tmp_path / "killed", "tree", **QUICK)
        time.sleep(rng.uniform(0.5, 3.0))
        kill_all(driver, tmp_path / "killed")
    killed = drive(tmp_path / "killed", **QUICK)
    assert killed.status == 0
    assert made(killed) == made(drive(tmp_path / "calm", **QUICK))
    assert not any((job / "work").exists() for job in killed.jobs.values())


def test_stages_of_a_killed_driver_are_waited_for(tmp_path: Path) -> None:
    driver = start(tmp_path, "leaf", **SLOW)
    until(lambda: steps(tmp_path), "a step")
    driver.kill()
    driver.communicate()
    assert len(stage_processes(tmp_path)) == 1
    again = drive(tmp_path, "leaf", **SLOW)
    assert again.status == 0 and again.said("done") == ["leaf"]
    assert attempts(again) == {"leaf": 1}
    assert stage_processes(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_driver_and_stages_and_leaves_what_can_be_resumed(
    number: signal.Signals, tmp_path: Path
) -> None:
    driver = start(tmp_path, "tree", SIMLM_TOY_STEPS="400")
    until(lambda: len(steps(tmp_path)) >= 5, "five steps")
    driver.send_signal(number)
    stopped = end(driver)
    assert stopped.status == 128 + number and stopped.errors == "" and stopped.said("done") == []
    assert stage_processes(tmp_path) == []
    again = drive(tmp_path, **QUICK)
    assert again.status == 0
    assert manifest(again.jobs["leaf"])["numbers"]["resumed_from"] >= 5


def test_an_interrupt_also_ends_stages_that_a_killed_driver_left(tmp_path: Path) -> None:
    first = start(tmp_path, "leaf", SIMLM_TOY_STEPS="400")
    until(lambda: steps(tmp_path), "a step")
    first.kill()
    first.communicate()
    second = start(tmp_path, "leaf", SIMLM_TOY_STEPS="400")
    assert second.stdout is not None and second.stdout.readline() in ("waiting leaf\n", "running leaf\n")
    second.send_signal(signal.SIGINT)
    assert end(second).status == 130
    assert stage_processes(tmp_path) == []


def test_interrupted_at_random_moments(tmp_path: Path) -> None:
    """Also while a stage is being started: no process outlives the driver, and no traceback is shown."""
    rng = random.Random(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        driver = start(tmp_path, "tree", **QUICK)
        assert driver.stdout is not None and driver.stdout.readline() != ""
        time.sleep(rng.uniform(0.0, 2.5))
        driver.send_signal(number)
        assert end(driver).status in (0, 128 + number, -number)  # the last while Python takes itself down
        assert stage_processes(tmp_path) == []
    assert drive(tmp_path, **QUICK).status == 0


def test_two_drivers_at_once_share_the_stages(tmp_path: Path) -> None:
    """The leaf of the first does not end before the second has said that it waits."""
    gate = tmp_path / "gate"
    first = start(tmp_path, "tree", SIMLM_TOY_GATE=str(gate), **QUICK)
    try:
        until(lambda: steps(tmp_path), "a step")
        second = start(tmp_path, "tree", **QUICK)
        assert second.stdout is not None
        assert second.stdout.readline().startswith("said another run is using")
    finally:
        gate.touch()
    ran, waited = end(first), end(second)
    assert (ran.status, waited.status) == (0, 0)
    assert ran.said("said") == waited.said("said") == waited.said("done") == []
    assert ran.jobs == waited.jobs
    assert attempts(ran) == dict.fromkeys(("leaf", "left", "right", "top"), 1)
