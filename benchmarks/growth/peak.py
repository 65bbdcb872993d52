"""The most memory that this process has while a block runs."""

import resource
import threading
from pathlib import Path
from types import TracebackType

import psutil

STATUS = Path("/proc/self/status")
PAUSE = 0.005


class Peak:
    """Samples the process's own memory, two hundred times a second.

    Of what a process has in memory, pages of mapped files are the system's to take back whenever it needs them: its
    own are what it allocated. Where the system does not tell them apart, all are taken for its own.
    """

    def __init__(self) -> None:
        self.before = self.most = own_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.most = max(self.most, own_bytes())

    def _sample(self) -> None:
        while not self._stop.wait(PAUSE):
            self.most = max(self.most, own_bytes())

    def figures(self) -> dict[str, int]:
        """Bytes of its own at most, those that were there before, and the peak with mapped files, since its start."""
        return {
            "own_bytes": self.most,
            "own_bytes_before": self.before,
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


def own_bytes() -> int:
    """What this process has allocated and the system holds in memory."""
    try:
        lines = STATUS.read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("RssAnon:"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return int(psutil.Process().memory_info().rss)
