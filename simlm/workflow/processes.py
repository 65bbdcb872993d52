"""The processes of stages: what they inherit, which of them still run, how they are ended."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from simlm.files import read_json, write_json
from simlm.workflow.launchers import Launcher
from simlm.workflow.plan import Planned
from simlm.workflow.server import is_server
from simlm.workflow.slurm_jobs import Seen, SlurmJob, cancel, jobs_by_folder
from simlm.workflow.stage import MISTAKE, PROGRESS

ROOT = Path(__file__).resolve().parents[2]


def prepare(stage: Planned, jobs: Sequence[Seen], say: Callable[[str], None]) -> None:
    """Make experimaestro, which knows no manifests, see a stage as the plan does; ``jobs`` are Slurm's of it."""
    status = stage.job / ".experimaestro" / "status.json"
    if stage.finished:
        if not stage.was_finished:  # its process was killed right after it had written the manifest
            stage.marker(".done").touch()
            shutil.rmtree(stage.job / "work", ignore_errors=True)
    elif stage.was_finished and not stage.waits:
        say(f"{stage.name} {stage.job.name[:8]} is made again: {stage.reason}")
        shutil.rmtree(stage.job)
    elif stage.was_finished:  # it waits to be judged, and what it said was shown when it ran
        (stage.job / PROGRESS).unlink(missing_ok=True)
    elif jobs:
        # A process that Slurm stops to begin it again later leaves no number, and says that it failed.
        write_json(stage.marker(".pid"), SlurmJob(jobs[0].number, stage.marker(".err")).tospec())
        if stage.marker(".failed").exists():
            _forget(stage.marker(".failed"), status)
    elif process_of(stage) is None:
        # Experimaestro would give up a stage that failed a few times, and wait for a stranger with its process number.
        _forget(stage.marker(".failed"), stage.marker(".pid"), status, stage.job / MISTAKE, stage.job / PROGRESS)


def _forget(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def process_of(stage: Planned) -> psutil.Process | None:
    """Return the process that works on a stage, which an earlier command may have left behind; None without one."""
    try:
        written = read_json(stage.marker(".pid")) or {}
        process = psutil.Process(written["pid"])
        # Another process may have got the number since, or the stage's has ended and its parent has not noticed.
        same = abs(process.create_time() - written["started"]) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, KeyError, ValueError, TypeError, psutil.Error):
        return None


def stop(stages: Sequence[Planned]) -> None:
    """End the stages' processes, those of an earlier command included; whatever they had checkpointed stays.

    All processes below this one but the stage server are theirs.
    """
    jobs = jobs_by_folder()
    cancel([job for stage in stages for job in jobs.get(stage.job.resolve(), [])])
    processes = {process for process in psutil.Process().children(recursive=True) if not is_server(process.pid)}
    processes |= {process for stage in stages if (process := process_of(stage)) is not None}
    for process in processes:
        with _gone():
            process.terminate()
    for process in psutil.wait_procs(list(processes), timeout=5)[1]:
        with _gone():
            process.kill()


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        return


@contextmanager
def environment(launcher: Launcher) -> Iterator[None]:
    """Set what the stages' processes inherit beyond this process's environment, while the block runs.

    Experimaestro's ``setenv`` would replace that environment, HOME and PATH included, and write each value, tokens
    included, into the stage's script.
    """
    threads = str(launcher.threads)
    added = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
