"""Progress bars that another process can show.

A stage runs in a process of its own, so its bars are not on the user's terminal: `follow` hands their progress on to
the driver, which shows it.
"""

from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

Report = Callable[[str, int, int | None], None]

_reports: list[Report] = []


def follow(report: Report | None) -> None:
    """Let every bar of this process also call ``report(description, done, total)`` from now on; None stops that."""
    _reports[:] = [report] if report else []


class Bar(tqdm):
    """A tqdm bar, shown on a terminal only, whose progress is also handed on."""

    def __init__(self, iterable: Any = None, desc: str = "", total: int | None = None, **rest: Any) -> None:
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)
        self.followed = (desc, total)
        self.done = rest.get("initial", 0)
        super().__init__(iterable, desc=desc, total=total, **{"disable": None} | rest)

    def update(self, n: float | None = 1) -> bool | None:
        self._tell(int(n or 0))
        shown: bool | None = super().update(n)
        return shown

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            yield item
            self._tell(1)

    def _tell(self, more: int) -> None:
        self.done += more
        for report in _reports:
            report(self.followed[0], self.done, self.followed[1])
