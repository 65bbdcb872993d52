"""A stage on several nodes of Slurm, by a stand-in for srun: what one machine makes of it, and none left behind."""

import os
import signal
from pathlib import Path

import psutil
import pytest
import torch

from simlm import distributed
from simlm.commands import checks
from simlm.commands.checks import check_processes
from simlm.errors import UserError
from simlm.workflow.resources import CPU_SLOTS, Choices, stage_slot
from simlm.workflow.slurm import slurm_launcher
from tests.slurm import allocation
from tests.workflow.driving import drive, end, manifest, stage_processes, start, until

TWO = {"SIMLM_TOY_PROCESSES": "2"}
LONG = {"SIMLM_TOY_SECONDS": "60"}


def test_two_nodes_are_one_stage(tmp_path: Path) -> None:
    nodes = allocation(tmp_path / "bin", 2)
    here = drive(tmp_path / "here", "shared", **TWO)
    there = drive(tmp_path / "there", "shared", SIMLM_TOY_PROCESSES="4", **nodes)
    assert (here.status, there.status) == (0, 0), there.errors
    sealed = [manifest(ran.jobs["shared"]) for ran in (here, there)]
    assert [each["numbers"] for each in sealed] == [{"processes": 2, "rank": 0}, {"processes": 4, "rank": 0}]
    assert sealed[0]["outputs"] == sealed[1]["outputs"]
    assert here.jobs["shared"].name == there.jobs["shared"].name
    (call,) = (tmp_path / "bin" / "srun.calls").read_text().splitlines()
    assert call.startswith("--nodes=2 ") and " --cpus-per-task=1 " in call
    assert stage_processes(tmp_path) == []


def test_a_stage_of_one_process_asks_for_no_other_node(tmp_path: Path) -> None:
    ran = drive(tmp_path / "results", "leaf", **TWO, **allocation(tmp_path / "bin", 2))
    assert ran.status == 0
    assert not (tmp_path / "bin" / "srun.calls").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ("mistake", 2, "mistake numbers.txt, line 3: 'x' is no number; write digits"),
        ("fault", 1, "WorkerFailed: process 1 of 2 failed: ValueError: the seventh wheel came off (see "),
        ("killed", 1, "WorkerFailed: process "),  # the other may notice first that its neighbour is gone
    ],
)
def test_a_node_that_fails_ends_all(wrong: str, status: int, said: str, tmp_path: Path) -> None:
    nodes = allocation(tmp_path / "bin", 2)
    failed = drive(tmp_path / "results", "shared", **TWO, **LONG, **nodes, SIMLM_TOY_WRONG=wrong)
    assert failed.status == status
    assert said in failed.lines[-1]
    assert stage_processes(tmp_path / "results") == []


@pytest.mark.slow
@pytest.mark.parametrize("killed", [signal.SIGKILL, signal.SIGTERM])
def test_nodes_end_with_their_stage(killed: signal.Signals, tmp_path: Path) -> None:
    results = tmp_path / "results"
    driver = start(results, "shared", **TWO, **LONG, **allocation(tmp_path / "bin", 2))
    files = until(lambda: len(found := list(results.glob("jobs/*/*/work/worker-*"))) == 2 and found, "two workers")
    workers = [psutil.Process(int(until(file.read_text, "its number"))) for file in files]
    # The stage is the outermost of the processes that work in its folder.
    pid = [each.pid for each in workers[0].parents() if each in stage_processes(results)][-1]
    os.kill(pid, killed)
    assert not psutil.wait_procs(workers, timeout=60)[1]
    assert end(driver).status == 1
    until(lambda: stage_processes(results) == [], "the end of all")


def test_a_srun_that_fails_by_itself_is_named(tmp_path: Path) -> None:
    nodes = allocation(tmp_path / "bin", 2)
    (tmp_path / "bin" / "srun").write_text("#!/bin/sh\necho srun: error: no such node >&2\nexit 3\n")
    failed = drive(tmp_path / "results", "shared", **TWO, **nodes)
    assert failed.status == 1
    assert "WorkerFailed: srun ended with status 3 on 2 nodes" in failed.lines[-1]


def test_what_nodes_cannot_do_is_refused_before_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in allocation(tmp_path / "bin", 2).items():
        monkeypatch.setenv(name, value)
    check_processes(1, "cpu", tmp_path)
    check_processes(4, "cpu", tmp_path)
    with pytest.raises(
        UserError, match="--processes 3: cannot be shared evenly by 2 nodes of Slurm; choose a multiple"
    ):
        check_processes(3, "cpu", tmp_path)
    check_processes(3, None, tmp_path)  # for another machine
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    check_processes(8, "cuda", tmp_path)
    with pytest.raises(UserError, match="--processes 10: each needs a GPU and there are 4 on each node; choose fewer"):
        check_processes(10, "cuda", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no srun, whatever the machine has
    with pytest.raises(UserError, match="several nodes, and no srun on PATH"):
        check_processes(2, "cpu", tmp_path)


def test_a_file_system_that_is_not_common_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mount:
        def __init__(self, mountpoint: Path, fstype: str) -> None:
            self.mountpoint, self.fstype = str(mountpoint), fstype

    mounts = [Mount(Path("/"), "ext4"), Mount(tmp_path / "home", "nfs4"), Mount(tmp_path / "home" / "fast", "lustre")]
    monkeypatch.setattr(checks.psutil, "disk_partitions", lambda all: mounts)  # noqa: A006
    checks.check_common(tmp_path / "results")
    checks.check_common(tmp_path / "home" / "fast" / "results")
    with pytest.raises(UserError, match="it lies on nfs4, where several nodes cannot write into one file"):
        checks.check_common(tmp_path / "home" / "results")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nodes=2"], "--processes 3: cannot be shared evenly by 2 nodes of Slurm; choose a multiple of 2"),
        (["nodes=2-4"], "--slurm nodes=2-4: give one number, 1 or more"),
        (["nodes=0"], "--slurm nodes=0: give one number, 1 or more"),
        (["nodes=3", "gpus=8"], "--slurm gpus=8: leave it out with several nodes; gpus_per_node counts GPUs"),
        (["nodes=3", "ntasks_per_node=2"], "--slurm ntasks_per_node=2: leave it out with several nodes"),
        (["nodes=3", "nodelist=a,b,c"], "--slurm nodelist=a,b,c: leave it out with several nodes"),
        (["nodes=1", "gpus_per_node=a100:0"], None),
        (["nodes=3", "gpus_per_node=a100:1"], None),
        (["nodes=3", "gpus_per_node=a100:0"], "--processes 3 on 3 nodes are 1 on each, and each needs a GPU"),
    ],
)
def test_options_of_jobs_must_fit(
    options: list[str], said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "sbatch").touch(mode=0o755)
    (tmp_path / "sbatch").write_text("#!/bin/sh\n")
    if said is None:
        slurm_launcher(options, Choices(processes=3))
    else:
        with pytest.raises(UserError, match=said):
            slurm_launcher(options, Choices(processes=3))


def test_a_process_has_a_place_on_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third node's second of two: its GPU is the second there, and it has half of the cores."""
    assert (distributed.local_rank(), distributed.local_processes()) == (0, 1)
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 6)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 5)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert (distributed.local_rank(), distributed.local_processes()) == (1, 2)
    threads = torch.get_num_threads()
    assert distributed.own_device("cuda") == torch.device("cuda", 1)
    torch.set_num_threads(threads)


def test_a_stage_has_all_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    with stage_slot(tmp_path, Choices()) as number:
        assert number == 0
        assert CPU_SLOTS > 1 and [path.name for path in tmp_path.iterdir()] == ["slot-0.lock"]
