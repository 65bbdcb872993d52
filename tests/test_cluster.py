"""Stages on a real Slurm cluster (`tests.slurm_cluster`), and what goes wrong there: `pytest -m slurm --slurm`."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repro.commands import PATIENCE as LONG
from tests.repro.commands import ROOT, Results, table2
from tests.slurm_cluster import PATIENCE, Cluster, until
from tests.workflow.driving import Ran, attempts, end, hear_signals, manifest, start, steps

pytestmark = pytest.mark.slurm
STEPS = 5
ROWS = ("--rows", "bm25", "random", "simlm-1")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """The cluster, to which every command of these tests speaks."""
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="slurm-")))
    cluster.up()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
        yield cluster
    cluster.down()


@pytest.fixture
def cluster(nodes: Cluster) -> Iterator[Cluster]:
    """The cluster with idle nodes; no job is left when the test has ended."""
    nodes.wait_for_nodes()
    yield nodes
    try:
        until(lambda: not nodes.jobs("PENDING,RUNNING,SUSPENDED"))
    finally:
        nodes.call("scancel", "--user=root")


def started(
    cluster: Cluster, results: Path, *options: str, most: int = STEPS, **environment: str
) -> tuple[subprocess.Popen[str], str]:
    """A driver whose stage has made its steps and waits for `finish`, and the number of the stage's job."""
    gate = {"SIMLM_TOY_STEPS": str(most), "SIMLM_TOY_GATE": str(results / "gate")}
    driver = start(results, "leaf", "partition=main", *options, **gate, **environment)
    until(lambda: len(steps(results)) >= STEPS)
    (job,) = cluster.jobs("RUNNING")
    return driver, job


def finish(results: Path) -> None:
    """Let the stage end."""
    (results / "gate").touch()


def ended(driver: subprocess.Popen[str]) -> Ran:
    driver.wait(PATIENCE)
    return end(driver)


def same_command(results: Path) -> subprocess.Popen[str]:
    """The same command once more, which has begun to show its stages."""
    driver = start(results, "leaf", "partition=main", SIMLM_TOY_STEPS=str(STEPS), SIMLM_TOY_GATE=str(results / "gate"))
    assert driver.stdout is not None and driver.stdout.readline() in ("waiting leaf\n", "running leaf\n")
    return driver


def goes_on(results: Path) -> bool:
    """Whether the same command finishes the stage from where it was."""
    finish(results)
    return resumed(ended(same_command(results)))


def resumed(ran: Ran) -> bool:
    """Whether the stage of a finished run went on from its last step."""
    assert ran.status == 0, ran
    return int(manifest(ran.jobs["leaf"])["numbers"]["resumed_from"]) >= STEPS


def begin_again(cluster: Cluster, job: str) -> None:
    """Have a job that Slurm has queued again begin now; it would wait for two minutes."""
    until(lambda: job in cluster.jobs("PENDING"))
    cluster.call("scontrol", "update", f"job={job}", "StartTime=now")


def test_a_lost_node(cluster: Cluster, tmp_path: Path) -> None:
    driver, job = started(cluster, tmp_path)
    node = cluster.call("squeue", "--noheader", "--format=%N", f"--jobs={job}").strip()
    cluster.kill(node)
    try:
        begin_again(cluster, job)
        finish(tmp_path)
        ran = ended(driver)
    finally:
        cluster.start(node)
    assert resumed(ran)
    line = f"leaf: Slurm stopped job {job} and queued it again: it goes on from its last checkpoint (start 2)"
    assert ran.said("said") == [line]


def test_preemption(cluster: Cluster, tmp_path: Path) -> None:
    """The command does not take the stage for failed, and when it is killed then, the next one follows the same job."""
    driver, job = started(cluster, tmp_path)
    take_all_nodes(cluster)
    until(lambda: job in cluster.jobs("PENDING"))
    assert driver.poll() is None
    driver.kill()
    driver.communicate()
    again = same_command(tmp_path)
    begin_again(cluster, job)
    finish(tmp_path)
    ran = ended(again)
    assert resumed(ran)
    assert ran.said("said") == [
        f"leaf: Slurm stopped job {job} and queued it again: it goes on from its last checkpoint (start 2)"
    ]
    assert cluster.jobs("all", tmp_path) == [job]


def take_all_nodes(cluster: Cluster) -> None:
    """Submit a short job of higher priority."""
    cluster.call("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 5")


def test_a_job_that_slurm_may_not_queue_again(cluster: Cluster, tmp_path: Path) -> None:
    driver, job = started(cluster, tmp_path, SBATCH_NO_REQUEUE="1")
    take_all_nodes(cluster)
    ran = ended(driver)
    assert ran.status == 1
    assert ran.lines[-1].startswith(f"failure leaf failed: Slurm ended job {job}: PREEMPTED (see ")
    assert goes_on(tmp_path)


def test_scancel(cluster: Cluster, tmp_path: Path) -> None:
    """What does not stand on the stage goes on."""
    words = ("two trees", "partition=main", "keep-going")
    driver = start(tmp_path, *words, SIMLM_TOY_GATE=str(tmp_path / "gate"))
    until(lambda: len(cluster.jobs("RUNNING", tmp_path)) == 2)
    (wrong,) = tmp_path.glob("jobs/*.broken/*")
    (job,) = cluster.jobs("RUNNING", wrong)
    cluster.call("scancel", job)
    finish(tmp_path)
    ran = ended(driver)
    assert ran.status == 0
    assert set(ran.jobs) == {"leaf", "right", "top of right"}
    assert ran.said("lacks")[0].startswith(f"wrong: wrong failed: Slurm ended job {job}: CANCELLED (see ")
    again = ended(start(tmp_path, *words))
    assert len(again.jobs) == 6 and attempts(again)["leaf"] == 1


def test_a_time_limit(cluster: Cluster, tmp_path: Path) -> None:
    driver, job = started(cluster, tmp_path, "time=1", most=4000)
    ran = ended(driver)
    assert ran.status == 1
    assert f"leaf failed: Slurm ended job {job}: TIMEOUT; --slurm time=... gives it more (see " in ran.lines[-1]
    assert goes_on(tmp_path)


def test_a_command_is_killed_and_slurmdbd_is_away(cluster: Cluster, tmp_path: Path) -> None:
    """The next command follows the job, and submits no other."""
    driver, job = started(cluster, tmp_path)
    driver.kill()
    driver.communicate()
    cluster.kill("slurmdbd")
    try:
        again = same_command(tmp_path)
        finish(tmp_path)
        ran = ended(again)
    finally:
        cluster.start("slurmdbd")
    assert ran.status == 0
    assert attempts(ran) == {"leaf": 1}
    assert cluster.jobs("all", tmp_path) == [job]


def test_the_controller_is_away(cluster: Cluster, tmp_path: Path) -> None:
    """A command says what it could not cancel, and another one begins no stage whose job may live."""
    driver, job = started(cluster, tmp_path)
    cluster.call("scontrol", "shutdown", "slurmctld")
    until(lambda: not cluster.processes(f"{cluster.folder}:slurmctld"))
    try:
        driver.send_signal(signal.SIGTERM)
        stopped, refused = ended(driver), ended(start(tmp_path, "leaf"))
    finally:
        cluster.start("slurmctld")
    assert stopped.status == 143
    assert stopped.said("said") == [f"scancel failed, and jobs may be left: end them later with scancel {job}"]
    assert refused.status == 2
    assert refused.lines[0].startswith(f"mistake squeue does not answer, and job {job} may still run the stage in ")
    until(lambda: cluster.answers("sbatch", "--test-only", "--wrap=true"))
    finish(tmp_path)
    ran = ended(start(tmp_path, "leaf", "partition=main"))
    assert ran.status == 0 and attempts(ran) == {"leaf": 1}
    assert cluster.jobs("all", tmp_path) == [job]


@pytest.mark.parametrize(
    ("number", "queued"),
    [(signal.SIGINT, False), (signal.SIGHUP, False), (signal.SIGTERM, False), (signal.SIGTERM, True)],
)
def test_a_command_is_told_to_end(number: signal.Signals, queued: bool, cluster: Cluster, tmp_path: Path) -> None:
    """It cancels its jobs, also one that Slurm has queued again, and no other that works in a stage's folder."""
    driver, job = started(cluster, tmp_path)
    (folder,) = tmp_path.glob("jobs/*.number/*")
    words = (f"--chdir={folder}", "--output=/dev/null", "--wrap=sleep 600")
    other = cluster.call("sbatch", "--parsable", *words).strip()
    if queued:
        cluster.call("scontrol", "requeue", job)
        until(lambda: job in cluster.jobs("PENDING"))
    driver.send_signal(number)
    assert ended(driver).status == 128 + number
    assert cluster.jobs("PENDING,RUNNING") == [other]
    cluster.call("scancel", other)
    assert goes_on(tmp_path)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONG, preexec_fn=hear_signals
    )


def figures(results: Path) -> dict[str, dict[str, float]]:
    """The measures over test queries of all finished stages, by the names of their folders."""
    found = {}
    for path in results.glob("jobs/*/*/manifest.json"):
        numbers = json.loads(path.read_text())["numbers"]
        if measures := {name: number for name, number in numbers.items() if name.startswith("test ")}:
            found[path.parent.name] = measures
    return found


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes of this machine make of some rows: dropout draws other numbers for them than for one."""
    results = tmp_path_factory.mktemp("two") / "results"
    ran = table2(*ROWS, "--processes", "2", "--results", str(results))
    assert ran.returncode == 0, ran.stderr
    return results


@pytest.mark.parametrize("options", [[], ["nodes=2", "--processes", "2"]], ids=["one node", "two nodes"])
def test_a_grid_has_the_figures_that_it_has_without_slurm(
    options: list[str], cluster: Cluster, smoke: Results, two_processes: Path, tmp_path: Path
) -> None:
    words = ("--grids", "generators", "--results", str(tmp_path), "--slurm", "partition=main", *options)
    ran = run(sys.executable, "-m", "ablations", "--scale", "smoke", *words)
    assert ran.returncode == 0, ran.stderr
    here, there = figures(two_processes if options else smoke.folder), figures(tmp_path)
    common = here.keys() & there.keys()
    assert common and {one: here[one] for one in common} == {one: there[one] for one in common}


def test_a_whole_table_in_an_allocation_of_two_nodes(cluster: Cluster, two_processes: Path, tmp_path: Path) -> None:
    words = f"repro.table2 --scale smoke --processes 2 --results {tmp_path / 'results'}"
    ran = run(
        *("sbatch", "--wait", "--nodes=2", "--ntasks-per-node=1", f"--output={tmp_path / 'log'}"),
        f"--wrap={sys.executable} -m {words}",
    )
    assert ran.returncode == 0, (tmp_path / "log").read_text()
    here, there = figures(two_processes), figures(tmp_path / "results")
    assert len(here) == 3 and here == {one: there[one] for one in here}
    assert len(Results(tmp_path / "results").runs()) > len(here)


def test_an_option_that_sbatch_refuses_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    results = tmp_path / "results"
    words = ("--scale", "smoke", "--results", str(results), "--slurm", "partition=nowhere")
    ran = run(sys.executable, "-m", "ablations", *words)
    (line,) = ran.stderr.splitlines()
    assert (ran.returncode, ran.stdout) == (2, "")
    assert line.startswith("error: --slurm: sbatch refuses a job with --nodes=1 --partition=nowhere: invalid partition")
    assert not results.exists()
