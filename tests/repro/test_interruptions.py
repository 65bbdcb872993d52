"""The real pipeline killed, stopped and damaged: afterwards the same measured values."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from simlm.workflow.attempts import attempts
from tests.damaging import flip
from tests.repro.commands import ROOT, Results, start, table2
from tests.workflow.driving import kill_all, stage_processes, until

REDONE = ("SimLM pre-training", "Retriever1 (simlm): runs", "re-ranker", "Retriever_distill (simlm)", "fusion")
"""Of each kind of stage one; all else is kept, and must be found to stand on the same outputs afterwards."""


@pytest.mark.slow
def test_killed_at_random_moments_and_started_again(smoke: Results, tmp_path: Path) -> None:
    copy = smoke.copy(tmp_path / "results", without=REDONE)
    rng = random.Random(2023)
    for longest in np.linspace(0.0, 12.0, 20):
        driver = start("--results", str(copy.folder))
        until(lambda one=driver: begun(copy.folder) or one.poll() is not None, "a stage")
        time.sleep(rng.uniform(0.0, longest))
        kill_all(driver, copy.folder)
    ran = table2("--results", str(copy.folder))
    assert ran.returncode == 0, ran.stderr
    assert copy.runs() == smoke.runs()
    assert copy.measured() == smoke.measured()
    stages = {stage["name"]: stage for stage in copy.report["stages"]}
    assert sum(stage["attempts"] for stage in stages.values()) > len(stages)
    for name in set(stages) - set(REDONE):
        assert stages[name]["attempts"] == 1
        assert (copy.job(name) / "manifest.json").read_bytes() == (smoke.job(name) / "manifest.json").read_bytes()
    assert not list(copy.folder.glob("jobs/*/*/work"))


@pytest.mark.slow
def test_killed_and_a_bit_changed_over_and_over(smoke: Results, tmp_path: Path) -> None:
    """In any file, finished stages' included: the same figures in the end, or one line that says what is wrong."""
    copy = smoke.copy(tmp_path / "results", without=REDONE)
    rng = random.Random(2024)
    for longest in (6.0, 12.0, 6.0, 12.0, 12.0):
        driver = start("--results", str(copy.folder))
        until(lambda one=driver: begun(copy.folder) or one.poll() is not None, "a stage")
        time.sleep(rng.uniform(0.0, longest))
        kill_all(driver, copy.folder)
        works = [path for path in copy.folder.glob("jobs/*/*/work/**/*") if path.is_file() and path.stat().st_size]
        files = [path for path in copy.folder.rglob("*") if path.is_file() and path.stat().st_size]
        for path in (rng.choice(works or files), rng.choice(files)):
            flip(path, rng.randrange(path.stat().st_size))
    ran = table2("--results", str(copy.folder))
    if ran.returncode:
        assert ran.stderr.splitlines()[-1].startswith(("error: ", "failed: ")), ran.stderr
    else:
        assert copy.runs() == smoke.runs() and copy.measured() == smoke.measured()


def begun(results: Path) -> list[Path]:
    """The stages that have begun, which counts as an attempt, and are not done."""
    return [job for job in results.glob("jobs/*/*") if attempts(job) and not (job / "manifest.json").exists()]


def test_a_damaged_artefact_is_made_again_and_that_is_said(smoke: Results, tmp_path: Path) -> None:
    """Lucene's index never has the same bytes twice, so what stands on it is made again as well."""
    copy = smoke.copy(tmp_path / "results")
    job = copy.folder / smoke.job("BM25 index").relative_to(smoke.folder)
    (path,) = job.glob("output/index/lucene/*.cfs")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    ran = table2("--results", str(copy.folder), "--rows", "bm25")
    assert ran.returncode == 0, ran.stderr
    said = [line for line in ran.stderr.splitlines() if "is made again" in line]
    assert [line.split(" is made again: ")[1] for line in said] == [
        f"{path.relative_to(job / 'output').as_posix()} does not have its checksum any more",
        "a stage it stands on has other outputs now",
    ]
    assert copy.runs() == {"bm25": smoke.runs()["bm25"]}
    assert {stage["name"] for stage in copy.report["stages"] if not stage["reused"]} == {"BM25 index", "BM25"}


def test_one_signal_is_enough(smoke: Results, tmp_path: Path) -> None:
    copy = smoke.copy(tmp_path / "results", without=("SimLM pre-training",))
    job = copy.folder / smoke.job("SimLM pre-training").relative_to(smoke.folder)
    driver = start("--results", str(copy.folder))
    until(lambda: (job / "work").exists(), "pre-training")
    driver.send_signal(signal.SIGTERM)
    output, errors = driver.communicate(timeout=60)
    assert driver.returncode == 143
    assert output == "" and "Traceback" not in errors
    assert errors.splitlines()[-1] == "stopped; the same command goes on from the last checkpoints"
    assert stage_processes(copy.folder) == []
    assert not (copy.folder / "smoke").exists()


def test_an_interrupt_while_libraries_are_imported_is_one_line() -> None:
    command = [sys.executable, "-c", "import repro; raise KeyboardInterrupt"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode != 0
    assert ran.stderr == "stopped before anything was done\n"
