"""The processes of stages: what they inherit, which of them still run, how they are ended."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from simlm.errors import UserError
from simlm.files import read_json, write_json
from simlm.workflow.launchers import Launcher
from simlm.workflow.plan import Planned
from simlm.workflow.server import is_server
from simlm.workflow.slurm_jobs import SlurmJob, cancel, living_jobs
from simlm.workflow.stage import MISTAKE, PROGRESS

ROOT = Path(__file__).resolve().parents[2]


def prepare(stages: Sequence[Planned], say: Callable[[str], None]) -> None:
    """Make experimaestro, which knows no manifests, see stages as the plan does."""
    jobs = jobs_of(stages)
    for stage in stages:
        _prepare(stage, jobs.get(stage.job, []), say)


def jobs_of(stages: Sequence[Planned]) -> dict[Path, list[str]]:
    """Return the numbers of Slurm's jobs that will work on stages, by folder.

    UserError where Slurm does not answer, and may still have such a job.
    """
    found = _living_jobs_of(stages)
    if found is None and (noted := _noted_jobs_of(stages)):
        job, (number,) = next(iter(noted.items()))
        raise UserError(
            f"squeue does not answer, and job {number} may still run the stage in {job}; try again later, or delete "
            f"{job}/*.pid if that job is gone"
        )
    return found or {}


def _living_jobs_of(stages: Sequence[Planned]) -> dict[Path, list[str]] | None:
    """Ask Slurm for the jobs, if an unfinished stage has a script that was submitted to it; None without an answer."""
    scripts = {stage.job: script for stage in stages if not stage.finished and (script := stage.marker(".sh")).exists()}
    living = living_jobs() if scripts else {}
    if living is None:
        return None
    return {job: living[real] for job, script in scripts.items() if (real := script.resolve()) in living}


def _noted_jobs_of(stages: Sequence[Planned]) -> dict[Path, list[str]]:
    """Return the numbers of the jobs that unfinished stages were last given, by folder, whether they live or not."""
    notes = {stage.job: read_json(stage.marker(".pid")) or {} for stage in stages if not stage.finished}
    return {job: [str(note["pid"])] for job, note in notes.items() if note.get("type") == SlurmJob.KIND}


def _prepare(stage: Planned, jobs: Sequence[str], say: Callable[[str], None]) -> None:
    """Prepare a stage that has these living jobs."""
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
        write_json(stage.marker(".pid"), SlurmJob(jobs[0], stage.marker(".err")).tospec())
        if stage.marker(".failed").exists():
            _forget(stage.marker(".failed"), status)
    elif process_of(stage) is None:
        # Experimaestro would give up a stage that failed a few times, and wait for a stranger with its process number.
        markers = (stage.marker(suffix) for suffix in (".failed", ".pid", ".sh"))
        _forget(*markers, status, stage.job / MISTAKE, stage.job / PROGRESS)


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


def stop(stages: Sequence[Planned], say: Callable[[str], None]) -> None:
    """End the stages' processes and jobs, those of an earlier command included; what they had checkpointed stays.

    All processes below this one but the stage server are theirs. Slurm comes last: it may not answer for minutes, and
    an sbatch that still ran may have submitted a job.
    """
    processes = {process for process in psutil.Process().children(recursive=True) if not is_server(process.pid)}
    processes |= {process for stage in stages if (process := process_of(stage)) is not None}
    for process in processes:
        with _gone():
            process.terminate()
    for process in psutil.wait_procs(list(processes), timeout=5)[1]:
        with _gone():
            process.kill()
    jobs = _living_jobs_of(stages)
    numbers = [number for one in (_noted_jobs_of(stages) if jobs is None else jobs).values() for number in one]
    if not cancel(numbers):
        say(f"scancel failed, and jobs may be left: end them later with scancel {' '.join(numbers)}")


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
