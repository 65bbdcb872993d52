"""A step of the pipeline: a configuration, the stages it depends on, and a folder named by the hash of both.

Experimaestro gives each stage its folder, its process and its lock. What it does not watch is watched here: a version
number that counts in the identity (raise it when the code of a stage changes what it makes), and a manifest that is
written last.
"""

import ctypes
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from experimaestro import Config, Constant, Meta, PathGenerator, ResumableTask, field

from simlm.errors import UserError
from simlm.files import checksums, read_json, write_json, write_sealed
from simlm.progress import follow, say
from simlm.workflow.attempts import Attempt, attempts
from simlm.workflow.manifest import MANIFEST, damage, outputs_digest, read_manifest
from simlm.workflow.resources import Choices, stage_slot
from simlm.workflow.sources import sources_digest

PROGRESS = "progress.json"
MISTAKE = "mistake.txt"
DEPENDS_ON = "depends_on.json"


class Stage(ResumableTask):
    """Base of all stages. ``run`` fills ``folder`` and returns numbers worth reporting."""

    reproducible: ClassVar[bool] = True
    """Whether the same configuration leaves the same bytes on every machine of a kind."""
    shared: ClassVar[bool] = False
    """Whether several processes (`simlm.distributed`) can do the work of ``run`` together. All of them run it then,
    each computes its share, and only the first writes what ``folder`` holds and has its numbers read."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Modules that must be installed beside what every stage needs."""
    imports: ClassVar[tuple[str, ...]] = ()
    """Modules that take long to import: the stage server imports them once for all stages."""

    version: Constant[int] = 1
    folder: Meta[Path] = field(default_factory=PathGenerator("output"))

    if TYPE_CHECKING:
        __xpm__: Any

    @property
    def job(self) -> Path:
        """Return the stage's folder: outputs in ``output``, unfinished work in ``work``, the manifest beside."""
        return self.folder.parent

    @property
    def work(self) -> Path:
        """Return where an unfinished run keeps what it will resume from."""
        return self.job / "work"

    @property
    def choices(self) -> Choices:
        """Return how this run computes, as its command chose."""
        return Choices.read(self.job)

    def run(self) -> dict[str, Any]:
        """Do the work, and return numbers for the manifest."""
        raise NotImplementedError(f"{type(self).__name__} has no run")

    def inputs(self) -> dict[str, "Stage"]:
        """Return the stages that this one depends on, by parameter name."""
        return inputs_of(self)

    def modules(self) -> set[str]:
        """Return the modules whose code the stage runs, beside all that these import."""
        return {type(self).__module__}

    def outdated(self, job: Path) -> str | None:
        """Return why outputs in ``job`` no longer fit what the stage read beside its inputs; None when they do."""
        return None

    def execute(self) -> None:
        """Run the stage in a process of its own; experimaestro calls it.

        There is nothing to do where Slurm begins a job again that had sealed the stage and could not end any more.
        """
        (self.job / MISTAKE).unlink(missing_ok=True)
        try:
            if damage(self.job, self._input_digests()) is not None or self.outdated(self.job) is not None:
                for name in (MANIFEST, PROGRESS):
                    (self.job / name).unlink(missing_ok=True)
                self._run_and_seal()
            shutil.rmtree(self.work, ignore_errors=True)
        except UserError as error:
            (self.job / MISTAKE).write_text(str(error), encoding="utf-8")
            sys.exit(2)

    def _run_and_seal(self) -> None:
        tune_allocator()
        follow(Reporter(self.job))
        with Attempt(self.job) as attempt:
            attempt.wait()
            with stage_slot(self.job.parents[2] / "slots", self.choices) as number:
                attempt.go_on()
                if number is not None and (gpus := self.choices.gpus_of_slot(number)):
                    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
                digests = self._input_digests()
                self._begin(digests)
                numbers = self._numbers()
            attempt.write()
            write_sealed(self.job / MANIFEST, self._manifest(digests, numbers))

    def _numbers(self) -> dict[str, Any]:
        processes = self.choices.processes if self.shared else 1
        if processes == 1:
            return self.run()
        from simlm.workflow.workers import run_in_workers  # torch, which a command that only plans does without

        return run_in_workers(self.job, workers_folder(self.job), self.choices)

    def _begin(self, digests: dict[str, str]) -> None:
        """Make an empty output folder; keep work to resume only if the inputs are still those that it was made from."""
        if not self.work.is_dir() or read_json(self.job / DEPENDS_ON) != digests:
            if self.work.is_dir():
                say(f"{self.work} is not used: it stands on other inputs, or {DEPENDS_ON} is damaged; begun again")
                shutil.rmtree(self.work)
            write_json(self.job / DEPENDS_ON, digests)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def _input_digests(self) -> dict[str, str]:
        digests = {}
        for name, stage in self.inputs().items():
            manifest = read_manifest(stage.job)
            if manifest is None:
                raise UserError(f"{stage.job}: the stage {name!r} lost its manifest; run the command again")
            digests[name] = outputs_digest(manifest)
        return digests

    def _manifest(self, digests: dict[str, str], numbers: dict[str, Any]) -> dict[str, Any]:
        return {
            "stage": type(self).__name__,
            "identifier": self.job.name,
            "version": self.version,
            "outputs": checksums(self.folder),
            "inputs": digests,
            "numbers": numbers,
            "attempts": attempts(self.job),
            "commit": self.choices.commit,
            "modules": sorted(self.modules()),
            "sources": sources_digest(tuple(sorted(self.modules()))),
            "hardware": self.choices.hardware,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }


def inputs_of(config: Config) -> dict[str, Stage]:
    """Return the stages among a configuration's parameters, lists of stages included, by name."""
    found: dict[str, Stage] = {}
    for argument in config.__xpmtype__.arguments.values():
        value = getattr(config, argument.name, None)
        if isinstance(value, Stage):
            found[argument.name] = value
        elif isinstance(value, list):
            found |= {f"{argument.name}[{i}]": one for i, one in enumerate(value) if isinstance(one, Stage)}
    return found


def workers_folder(job: Path) -> Path:
    """Return the folder, in a stage's work, of what its workers leave for the process that started them."""
    return job / "work" / "workers"


class Reporter:
    """Write what a stage shows for the command that shows it: its bar's state, at most twice a second, and lines."""

    def __init__(self, job: Path) -> None:
        self.path = job / PROGRESS
        self.last = 0.0
        self.bar: dict[str, Any] = {"description": "", "done": 0, "total": None}
        self.said: list[str] = []

    def progress(self, description: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        self.bar = {"description": description, "done": done, "total": total}
        if now - self.last > 0.5 or done == total:
            self.last = now
            self._write()

    def say(self, line: str) -> None:
        self.said.append(line)
        self._write()

    def _write(self) -> None:
        write_json(self.path, self.bar | {"said": self.said})


def tune_allocator() -> None:
    """Keep glibc from returning large blocks to the system after each use.

    Vocabulary-sized temporaries would otherwise be page-faulted anew at every step, which took up to half the time of
    the operations on them. Elsewhere than on glibc nothing happens.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        trim_threshold, mmap_count = -1, -4
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(mmap_count, 0)
    except (OSError, AttributeError):
        return
