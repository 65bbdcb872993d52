"""What a stage costs: time, memory and energy, added up over interrupted attempts.

Each attempt writes its figures to a file every two seconds, so that the time of a process that is killed still counts.
"""

import os
import resource
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from simlm.files import read_sealed, write_sealed

BEAT_SECONDS = 2.0
ATTEMPTS = "attempts"
COUNTERS = Path("/sys/class/powercap")


class Attempt:
    """Measure wall time, processor time and peak memory of this process while the block runs."""

    def __init__(self, job: Path) -> None:
        self.folder = job / ATTEMPTS
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / f"{time.time_ns()}-{os.getpid()}.json"
        self.start = time.perf_counter()
        # The interpreter and its imports cost time too: count from the process's own start.
        self.before = max(0.0, time.time() - psutil.Process().create_time())
        self.stop = threading.Event()
        self.waited = 0.0
        self.waiting_since: float | None = None
        self.writing = threading.Lock()  # the beat and the stage itself write
        self.energy = energy_counters()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Attempt":
        self.write()
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.thread.join()
        self.write()

    def wait(self) -> None:
        """Stop counting time."""
        self.waiting_since = time.perf_counter()

    def go_on(self) -> None:
        """Count time again."""
        if self.waiting_since is not None:
            self.waited += time.perf_counter() - self.waiting_since
        self.waiting_since = None

    def _beat(self) -> None:
        while not self.stop.wait(BEAT_SECONDS):
            if self.waiting_since is None:  # there is nothing new to write
                self.write()

    def _joules(self) -> float | None:
        """Return what all processors of the machine used since the start, other stages included; None if unknown."""
        now = energy_counters()
        spent = [now[name] - before for name, before in self.energy.items() if now.get(name, -1) >= before]
        return sum(spent) / 1e6 if spent else None

    def write(self) -> None:
        """Write the attempt's figures so far: seconds (without waiting for a slot), cpu_seconds, peak_bytes."""
        now = time.perf_counter()
        waiting = 0.0 if (since := self.waiting_since) is None else now - since
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        figures = {
            "started": int(self.path.name.split("-")[0]) / 1e9,
            "seconds": self.before + now - self.start - self.waited - waiting,
            "cpu_seconds": sum(u.ru_utime + u.ru_stime for u in usage),
            "peak_bytes": max(u.ru_maxrss for u in usage) * 1024,
            "energy_joules": self._joules(),
        }
        with self.writing:
            write_sealed(self.path, figures)


def energy_counters() -> dict[str, int]:
    """Return the microjoules that each processor package has counted, by counter; {} where they can't be read."""
    found = {}
    for path in COUNTERS.glob("intel-rapl:?/energy_uj"):
        try:
            found[path.parent.name] = int(path.read_text())
        except (OSError, ValueError):
            continue
    return found


def attempts(job: Path) -> list[dict[str, Any]]:
    """Return the figures of every attempt of a stage, oldest first, without files that are damaged."""
    read = [read_sealed(path) for path in sorted((job / ATTEMPTS).glob("[!.]*.json"))]
    return [figures for figures in read if figures is not None]
