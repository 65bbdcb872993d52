"""Slurm: what is asked of it, against stand-ins for its commands that run the jobs here."""

import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest
from experimaestro.launchers.slurm import SlurmLauncher

from simlm.errors import UserError
from simlm.workflow import slurm_jobs
from simlm.workflow.plan import Planned, plan
from simlm.workflow.resources import Choices
from simlm.workflow.scheduler import run
from simlm.workflow.slurm import asks_for_gpus, slurm_launcher
from simlm.workflow.slurm_jobs import Seen, SlurmJob
from tests import slurm_cluster
from tests.slurm import put_srun
from tests.workflow.drive import Lines
from tests.workflow.driving import drive, end, manifest, start, until
from tests.workflow.toy import SHAPES, Broken, Number, Shared, Submit, tree

SBATCH = """#!/bin/sh
# sbatch --parsable SCRIPT: starts it, as its #SBATCH lines say, and writes what squeue shall tell. With SIMLM_ENDS it
# starts nothing, and the job ends so.
case "$*" in *--partition=nowhere*) echo "sbatch: error: invalid partition specified: nowhere" >&2; exit 1;; esac
[ "$1" = --test-only ] && exit 0
script=$2
number=$(($(cat "$0.count" 2>/dev/null || echo 100) + 1))
echo $number > "$0.count"
cp "$script" "$0.script-$number"
if [ -n "${SIMLM_ENDS+set}" ]; then
    [ -z "$SIMLM_ENDS" ] || echo "$number $SIMLM_ENDS 0 $script" >> "$0.accounts"
    echo $number
    exit
fi
directory=$(sed -n 's/^#SBATCH --chdir=//p' "$script")
cd "$directory" || exit 1
err=$(sed -n 's/^#SBATCH --error=//p' "$script")
out=$(sed -n 's/^#SBATCH --output=//p' "$script")
export SLURM_JOB_NUM_NODES=$(sed -n 's/^#SBATCH --nodes=//p' "$script") SLURM_CPUS_PER_TASK=1
echo "$number RUNNING 0 $script" >> "$0.accounts"
(
    if sh "$script" > "$out" 2> "$err"; then state=COMPLETED; else state=FAILED; fi
    echo "$number $state 0 $script" >> "$0.accounts"
) > "$0.log" 2>&1 &
echo $number
"""
SQUEUE = """#!/bin/sh
echo "$*" >> "$0.calls"
[ -e "${0%/*}/silent" ] && exit 1
touch "${0%/*}/sbatch.accounts"
case "$*" in *--states=all*) states=. ;; *) states=RUNNING ;; esac
awk '{last[$1] = $0} END {for (job in last) print last[job]}' "${0%/*}/sbatch.accounts" | grep $states || true
"""
SCANCEL = """#!/bin/sh
echo "$*" >> "$0.calls"
[ ! -e "${0%/*}/silent" ]
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands named as Slurm's, first on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755 | stat.S_IXUSR)
    put_srun(folder)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(slurm_jobs, "POLL_SECONDS", 0.2)
    return folder


def test_the_launcher_has_the_options_that_were_given(cluster: Path) -> None:
    launcher = slurm_launcher(["partition=gpu", "gpus=1", "cpus-per-task=8", "time=2:00:00"], Choices())
    assert isinstance(launcher, SlurmLauncher)
    assert sorted(launcher.options.args()) == [
        "--cpus-per-task=8",
        "--gpus=1",
        "--nodes=1",
        "--partition=gpu",
        "--time=2:00:00",
    ]
    assert launcher.binpath == cluster


@pytest.mark.parametrize(
    ("option", "gpus"),
    [
        ("gpus=1", True),
        ("mem-per-gpu=16G", True),
        ("partition=GPU", True),
        ("constraint=gpu", True),
        ("mem=16G", False),
    ],
)
def test_which_jobs_get_gpus(option: str, gpus: bool, cluster: Path) -> None:
    assert asks_for_gpus(slurm_launcher([option], Choices()).options) is gpus


@pytest.mark.parametrize("option", ["speed=high", "partition", "partition="])
def test_an_unknown_option_is_the_users_mistake(option: str) -> None:
    with pytest.raises(UserError, match=f"--slurm {option}: write key=value with one of these keys: nodes, time, "):
        slurm_launcher([option], Choices())


def test_an_option_that_sbatch_refuses_is_the_users_mistake(cluster: Path) -> None:
    said = "--slurm: sbatch refuses a job with --nodes=1 --partition=nowhere: invalid partition specified: nowhere"
    with pytest.raises(UserError, match=said):
        slurm_launcher(["partition=nowhere"], Choices())
    assert not list(cluster.glob("sbatch.*"))


def test_a_machine_without_slurm_is_the_users_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="--slurm: there is no sbatch here"):
        slurm_launcher(["gpus=1"], Choices())


def test_each_stage_is_a_job_that_takes_no_slot(cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed one is found out as anywhere else, and the driver's own environment is what it was."""
    before = dict(os.environ)
    results = tmp_path / "results"
    results.mkdir()

    def build(submit: Submit) -> None:
        tree(submit)
        submit(Broken.C(value=3), "wrong")

    monkeypatch.setenv("SIMLM_TOY_WRONG", "1")
    launcher = slurm_launcher(["partition=gpu", "cpus_per_task=3"], Choices("cpu"))
    stages, _ = run(build, results, Lines(), launcher, keep_going=True)
    assert [stage.name for stage in stages if not stage.finished] == ["wrong"]
    assert "the seventh wheel came off" in str(stages[-1].failure)
    scripts = sorted(path.read_text() for path in cluster.glob("sbatch.script-*"))
    assert len(scripts) == 5
    for script in scripts:
        assert "#SBATCH --partition=gpu\n" in script and "#SBATCH --cpus-per-task=3\n" in script
        assert "\nsrun ./" in script
    assert not (results / "slots").exists()
    monkeypatch.delenv("SIMLM_TOY_WRONG")
    assert dict(os.environ) == before


def test_only_a_stage_that_is_shared_has_several_nodes(cluster: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()

    def build(submit: Submit) -> None:
        submit(Number.C(value=1), "alone")
        submit(Shared.C(value=2), "shared")

    launcher = slurm_launcher(["partition=gpu", "nodes=2", "gpus_per_node=4"], Choices("cpu", processes=4))
    stages, _ = run(build, results, Lines(), launcher)
    assert manifest(stages[1].job)["numbers"] == {"processes": 4, "rank": 0}
    scripts = [path.read_text() for path in cluster.glob("sbatch.script-*")]
    alone, shared = sorted(scripts, key=lambda script: "#SBATCH --nodes=2\n" in script)
    assert "#SBATCH --nodes=1\n" in alone and "\nsrun ./" in alone
    assert "#SBATCH --nodes=2\n" in shared and "\n./" in shared and "srun" not in shared
    for script in scripts:
        assert "#SBATCH --partition=gpu\n" in script and "#SBATCH --gpus-per-node=4\n" in script
    (call,) = (cluster / "srun.calls").read_text().splitlines()
    assert call.startswith("--nodes=2 ")


@pytest.fixture
def leaf(tmp_path: Path) -> Planned:
    """A stage that was submitted as job 7, of which nothing else is known."""
    (stage,), _ = plan(SHAPES["leaf"], tmp_path / "results")
    stage.job.mkdir(parents=True)
    stage.marker(".sh").touch()
    stage.marker(".pid").write_text(json.dumps(SlurmJob("7", stage.marker(".err")).tospec()))
    return stage


@pytest.mark.parametrize("options", [(), ("partition=gpu",)], ids=["here", "as jobs"])
def test_a_stage_whose_job_may_live_is_not_begun_again(
    options: tuple[str, ...], cluster: Path, leaf: Planned, tmp_path: Path
) -> None:
    (cluster / "silent").touch()
    ran = drive(tmp_path / "results", "leaf", *options)
    assert ran.status == 2
    assert ran.lines == [
        f"mistake squeue does not answer, and job 7 may still run the stage in {leaf.job}; try again later, or delete "
        f"{leaf.job}/*.pid if that job is gone"
    ]
    assert leaf.marker(".pid").exists() and not (cluster / "sbatch.count").exists()
    (cluster / "silent").unlink()
    assert drive(tmp_path / "results", "leaf").status == 0


def test_a_command_without_jobs_does_not_ask_slurm(cluster: Path, tmp_path: Path) -> None:
    assert drive(tmp_path / "results", "leaf").status == 0
    assert not (cluster / "squeue.calls").exists()


def test_a_command_that_is_told_to_end_cancels_the_job_it_has_noted(cluster: Path, tmp_path: Path) -> None:
    driver = start(tmp_path / "results", "leaf", "partition=gpu", SIMLM_TOY_GATE=str(tmp_path / "gate"))
    (stage,), _ = plan(SHAPES["leaf"], tmp_path / "results")
    until(stage.marker(".pid").exists, "the job's number")
    (cluster / "silent").touch()
    driver.send_signal(signal.SIGTERM)
    stopped = end(driver)
    (tmp_path / "gate").touch()
    until(stage.marker(".done").exists, "the end of the job, which goes on here")
    assert stopped.status == 143
    assert (cluster / "scancel.calls").read_text() == "101\n"
    assert stopped.said("said") == ["scancel failed, and jobs may be left: end them later with scancel 101"]


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("CANCELLED", "Slurm ended job 101: CANCELLED"),
        ("DEADLINE", "Slurm ended job 101: DEADLINE"),
        ("", "Slurm no longer knows job 101"),
    ],
)
def test_the_last_job_tells_why_a_stage_failed(
    state: str, line: str, cluster: Path, leaf: Planned, tmp_path: Path
) -> None:
    """A job that never began has left the log of an earlier one as it was."""
    leaf.marker(".err").write_text("\nSlurm ended job 5: TIMEOUT; --slurm time=... gives it more\n")
    ran = drive(tmp_path / "results", "leaf", "partition=gpu", SIMLM_ENDS=state)
    assert ran.lines[-1] == f"failure leaf failed: {line} (see {leaf.marker('.err')})"


def test_a_job_that_is_queued_again_is_noted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process has removed the note, by which a command that is told to end cancels it without squeue."""
    seen = [[Seen("7", "PENDING", 1, tmp_path)], [Seen("7", "COMPLETED", 1, tmp_path)]]
    monkeypatch.setattr(slurm_jobs.QUEUE, "look", lambda since: seen.pop(0))
    monkeypatch.setattr(slurm_jobs, "LOOK_SECONDS", 0.0)
    job = SlurmJob("7", tmp_path / "leaf.err")
    assert asyncio.run(job.aio_wait()) == 0
    assert json.loads((tmp_path / "leaf.pid").read_text()) == job.tospec()


@pytest.mark.parametrize("configured", [True, False])
def test_no_other_cluster_is_taken_down(configured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts, conf = tmp_path / "hosts", tmp_path / "slurm" / "slurm.conf"
    hosts.write_text("127.0.0.1 localhost\n")
    conf.parent.mkdir()
    conf.touch()
    monkeypatch.setattr(slurm_cluster, "HOSTS", hosts)
    monkeypatch.setattr(slurm_cluster, "lack", lambda: None)
    monkeypatch.setattr(sys, "argv", ["slurm_cluster", "down"])
    monkeypatch.delenv("SLURM_CONF", raising=False)
    if configured:
        monkeypatch.setenv("SLURM_CONF", str(conf))
    with pytest.raises(SystemExit, match="SLURM_CONF names no cluster that `up` made"):
        slurm_cluster.main()
    assert conf.exists()
