"""Jobs of Slurm: how they are submitted, followed and ended.

Its controller (squeue) is asked and not its accounting (sacct), which a cluster need not have and which may be away.
The controller forgets a job some minutes after its end. A job is a stage's when it runs that stage's script.
"""

import asyncio
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from experimaestro.connectors import Process, ProcessBuilder, ProcessState

from simlm.files import write_json
from simlm.workflow.stage import PROGRESS

LOOK_SECONDS = 1.0
"""How often the mark of a finished stage is looked for, which tells earlier than Slurm does."""
POLL_SECONDS = 15.0
"""How often Slurm is asked, about all jobs at once."""
PATIENCE = 120.0
"""How long a command of Slurm's may take, in seconds: a busy controller answers late."""
FIELDS = "JobID:20,State:20,RestartCnt:10,Command:4096"
BY_ITSELF = ("COMPLETED", "FAILED")
"""Endings of which the stage has noted the reason itself, where there is one."""
BY_SLURM = ("CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "REVOKED")
ENDINGS = BY_ITSELF + BY_SLURM
"""States that a job does not leave."""
LIVES = "PENDING,RUNNING,SUSPENDED"
"""States of jobs that will do work, one that is being stopped to be queued again included."""
ADVICE = {"TIMEOUT": "; --slurm time=... gives it more", "OUT_OF_MEMORY": "; --slurm mem=... gives it more"}
ENDED_JOB = "Slurm ended job "
FORGOTTEN_JOB = "Slurm no longer knows job "
"""How lines of a stage's log begin that tell of its job's end."""


@dataclass(frozen=True)
class Seen:
    """A job as the controller has it, and how often it was begun again."""

    number: str
    state: str
    restarts: int
    script: Path


class Queue:
    """All jobs of this user, those that ended some minutes ago included."""

    def __init__(self) -> None:
        self.seen: list[Seen] | None = None
        self.asked = float("-inf")
        self.asking = threading.Lock()

    def look(self, since: float = float("-inf")) -> list[Seen] | None:
        """Return the jobs as they were later than ``since``, by the monotonic clock; None without an answer."""
        with self.asking:
            if self.asked <= max(since, time.monotonic() - POLL_SECONDS):
                self.seen = _ask("all")
                self.asked = time.monotonic()
            return self.seen


QUEUE = Queue()


def _ask(states: str) -> list[Seen] | None:
    answer = command("squeue", "--me", f"--states={states}", "--noheader", f"--Format={FIELDS}")
    if answer is None or answer.returncode:
        return None
    rows = [line.rstrip().split(maxsplit=3) for line in answer.stdout.splitlines()]
    return [Seen(row[0], row[1], int(row[2]), Path(row[3])) for row in rows if len(row) == 4]


def command(name: str, *words: str) -> subprocess.CompletedProcess[str] | None:
    """Run a command of Slurm's; None where it is not installed or does not end."""
    try:
        return subprocess.run([name, *words], capture_output=True, text=True, check=False, timeout=PATIENCE)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None


def living_jobs() -> dict[Path, list[str]] | None:
    """Return the numbers of the jobs that will do work, by their scripts, without links; None without an answer."""
    seen = _ask(LIVES)
    if seen is None:
        return None
    found: dict[Path, list[str]] = {}
    for one in seen:
        found.setdefault(one.script.resolve(), []).append(one.number)
    return found


def cancel(numbers: Sequence[str]) -> bool:
    """Have Slurm end jobs, of which it ignores those that have ended already; return whether it does so."""
    if not numbers:
        return True
    answer = command("scancel", *numbers)
    return answer is not None and answer.returncode == 0


class SlurmJob(Process):
    """A stage's job. What Slurm does to it is told in the stage's log, or as a line that the stage says.

    Args:
        number: of the job.
        log: the stage's, in its folder.
    """

    KIND = "slurm"
    host_dependent = False

    def __init__(self, number: str, log: Path) -> None:
        self.number = number
        self.log = log
        self.since = time.monotonic()

    def tospec(self) -> dict[str, Any]:
        """What experimaestro writes down of the job, by which a later command follows it."""
        return {"type": self.KIND, "pid": self.number, "log": str(self.log)}

    @classmethod
    def fromspec(cls, connector: object, spec: dict[str, Any]) -> Self:
        return cls(spec["pid"], Path(spec["log"]))

    async def aio_wait(self) -> int | None:
        restarts = 0
        while not self.log.with_suffix(".done").exists():
            await asyncio.sleep(LOOK_SECONDS)
            seen = await asyncio.to_thread(QUEUE.look, self.since)
            if seen is None:
                continue
            job = next((one for one in seen if one.number == self.number), None)
            if job is None or job.state in ENDINGS:
                return self._end(job)
            if job.restarts > restarts:
                restarts = job.restarts
                write_json(self.log.with_suffix(".pid"), self.tospec())  # its process has removed that
                line = f"Slurm stopped job {self.number} and queued it again: it goes on from its last checkpoint"
                write_json(self.log.parent / PROGRESS, {"said": [f"{line} (start {restarts + 1})"]})
        return 0

    def _end(self, job: Seen | None) -> int | None:
        if job is None:
            if not any(self.log.with_suffix(suffix).exists() for suffix in (".done", ".failed")):
                self._note(f"{FORGOTTEN_JOB}{self.number}")
            return None
        if job.state in BY_SLURM:
            self._note(f"{ENDED_JOB}{self.number}: {job.state}{ADVICE.get(job.state, '')}")
        return int(job.state != "COMPLETED")

    def _note(self, line: str) -> None:
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"\n{line}\n")

    async def aio_state(self, timeout: float | None = None) -> ProcessState:
        seen = await asyncio.to_thread(QUEUE.look)
        ended = seen is not None and not any(one.number == self.number for one in seen if one.state not in ENDINGS)
        return ProcessState.FINISHED if ended else ProcessState.RUNNING

    def kill(self) -> None:
        cancel([self.number])


class SlurmBuilder(ProcessBuilder):
    """Submit a stage's script as a job; where Slurm refuses it, the stage's log has its words."""

    def start(self, task_mode: bool = False) -> SlurmJob:
        log = Path(self.stderr.path)
        log.unlink(missing_ok=True)  # what it says of an earlier job would stand there until this one begins
        answer = command("sbatch", "--parsable", self.command[0])
        number = answer and re.search(r"^\d+", answer.stdout, re.MULTILINE)
        if not number:
            log.write_text(answer.stderr if answer else "sbatch does not answer\n", encoding="utf-8")
            raise RuntimeError(f"sbatch submitted no job: {log}")
        return SlurmJob(number.group(), log)
