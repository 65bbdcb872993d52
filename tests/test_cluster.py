"""Stages as jobs of a real Slurm cluster (`tests.slurm_cluster`), and what goes wrong there: `pytest -m slurm --slurm`."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm_cluster import PATIENCE, Cluster, until
from tests.workflow.driving import Ran, attempts, end, manifest, start, steps

pytestmark = pytest.mark.slurm
LONG = {"SIMLM_TOY_STEPS": "200"}


@pytest.fixture(scope="module")
def module_cluster() -> Iterator[Cluster]:
    if folder := os.environ.get("SLURM_CONF"):
        with pytest.MonkeyPatch.context() as patch:
            yield Cluster(Path(folder).parent)
            return
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="slurm-")))
    cluster.up()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
        yield cluster
    cluster.down()


@pytest.fixture
def cluster(module_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, whose nodes are idle; no job is left when the test ends."""
    module_cluster.wait_for_nodes()
    yield module_cluster
    left = module_cluster.jobs()
    module_cluster.call("scancel", "--user=root")
    assert left == []


def ended(driver: subprocess.Popen[str]) -> Ran:
    driver.wait(PATIENCE)
    return end(driver)


def begun(cluster: Cluster, results: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """A driver whose stage has counted a few steps, and the number of the stage's job."""
    driver = start(results, "leaf", "partition=main", *options, **LONG)
    until(lambda: len(steps(results)) >= 5)
    (job,) = cluster.jobs()
    return driver, job


def resumed(results: Path) -> Ran:
    """The same command again, which goes on from what was there."""
    again = ended(start(results, "leaf", "partition=main", **LONG))
    assert again.status == 0, again
    assert manifest(again.jobs["leaf"])["numbers"]["resumed_from"] >= 5
    return again


def test_a_node_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    driver, job = begun(cluster, tmp_path)
    node = cluster.call("squeue", "--noheader", "--format=%N", f"--jobs={job}").strip()
    cluster.kill(node)
    try:
        until(lambda: cluster.call("squeue", "--noheader", "--format=%T", f"--jobs={job}").strip() == "PENDING")
        cluster.call("scontrol", "update", f"job={job}", "StartTime=now")
        ran = ended(driver)
    finally:
        cluster.start(node)
    print(ran)
    assert ran.status == 0
    assert manifest(ran.jobs["leaf"])["numbers"]["resumed_from"] >= 5


def test_scancel(cluster: Cluster, tmp_path: Path) -> None:
    driver, job = begun(cluster, tmp_path)
    cluster.call("scancel", job)
    ran = ended(driver)
    print(ran)
    assert ran.status == 1
    resumed(tmp_path)


def test_time_limit(cluster: Cluster, tmp_path: Path) -> None:
    driver = start(tmp_path, "leaf", "partition=main", "time=1", SIMLM_TOY_STEPS="1600")
    ran = ended(driver)
    print(ran)
    resumed(tmp_path)


def test_preemption(cluster: Cluster, tmp_path: Path) -> None:
    driver, job = begun(cluster, tmp_path)
    urgent = cluster.call(
        "sbatch", "--parsable", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 5"
    ).strip()
    until(lambda: cluster.call("squeue", "--noheader", "--format=%T", f"--jobs={job}").strip() == "PENDING")
    cluster.call("scontrol", "update", f"job={job}", "StartTime=now")
    ran = ended(driver)
    print(ran)
    assert ran.status == 0
    assert manifest(ran.jobs["leaf"])["numbers"]["resumed_from"] >= 5
    until(lambda: not cluster.jobs())


def test_slurmdbd_is_away(cluster: Cluster, tmp_path: Path) -> None:
    driver, job = begun(cluster, tmp_path)
    cluster.kill("slurmdbd")
    try:
        driver.kill()
        driver.communicate()
        again = start(tmp_path, "leaf", "partition=main", **LONG)
        until(lambda: not steps(tmp_path))
        print(cluster.jobs())
    finally:
        cluster.start("slurmdbd")
    ran = ended(again)
    print(ran)
    assert ran.status == 0
    assert attempts(ran) == {"leaf": 1}


def test_driver_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    driver, job = begun(cluster, tmp_path)
    driver.kill()
    driver.communicate()
    ran = ended(start(tmp_path, "leaf", "partition=main", **LONG))
    assert ran.status == 0
    assert attempts(ran) == {"leaf": 1}


def test_sigterm(cluster: Cluster, tmp_path: Path) -> None:
    driver, _ = begun(cluster, tmp_path)
    driver.send_signal(signal.SIGTERM)
    ran = ended(driver)
    print(ran)
    assert ran.status == 143
    until(lambda: cluster.jobs() == [])
    resumed(tmp_path)
