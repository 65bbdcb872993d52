"""Slurm: what is asked of it, against stand-ins for its commands that run the jobs here."""

import os
import stat
from pathlib import Path

import pytest
from experimaestro.launchers.slurm import SlurmLauncher

from simlm.errors import UserError
from simlm.workflow import slurm_jobs
from simlm.workflow.resources import Choices
from simlm.workflow.scheduler import run
from simlm.workflow.slurm import slurm_launcher
from tests.slurm import put_srun
from tests.workflow.drive import Lines
from tests.workflow.driving import manifest
from tests.workflow.toy import Broken, Number, Shared, Submit, tree

SBATCH = """#!/bin/sh
# sbatch --parsable SCRIPT: starts it, as its #SBATCH lines say, and writes what squeue shall tell.
case "$*" in *--partition=nowhere*) echo "sbatch: error: invalid partition specified: nowhere" >&2; exit 1;; esac
[ "$1" = --test-only ] && exit 0
script=$2
number=$(($(cat "$0.count" 2>/dev/null || echo 100) + 1))
echo $number > "$0.count"
cp "$script" "$0.script-$number"
directory=$(sed -n 's/^#SBATCH --chdir=//p' "$script")
cd "$directory" || exit 1
err=$(sed -n 's/^#SBATCH --error=//p' "$script")
out=$(sed -n 's/^#SBATCH --output=//p' "$script")
export SLURM_JOB_NUM_NODES=$(sed -n 's/^#SBATCH --nodes=//p' "$script") SLURM_CPUS_PER_TASK=1
echo "$number RUNNING 0 $directory" >> "$0.accounts"
(
    if sh "$script" > "$out" 2> "$err"; then state=COMPLETED; else state=FAILED; fi
    echo "$number $state 0 $directory" >> "$0.accounts"
) > "$0.log" 2>&1 &
echo $number
"""
SQUEUE = """#!/bin/sh
touch "${0%/*}/sbatch.accounts"
case "$*" in *--states=all*) states=. ;; *) states=RUNNING ;; esac
awk '{last[$1] = $0} END {for (job in last) print last[job]}' "${0%/*}/sbatch.accounts" | grep $states || true
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands named as Slurm's, first on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in (("sbatch", SBATCH), ("squeue", SQUEUE)):
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
