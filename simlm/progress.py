"""Progress bars that somebody else can follow.

A stage runs in a process of its own, so its bars are not on the user's terminal; it sets ``report`` and the driver
shows what it is told.
"""

from collections.abc import Callable
from typing import Any

from tqdm import tqdm

Report = Callable[[str, int, int | None], None]

_report: list[Report] = []


def follow(report: Report | None) -> None:
    """From now on every bar of this process also calls ``report(description, done, total)``; None stops that."""
    _report[:] = [report] if report else []


class Bar(tqdm):
    """A tqdm bar that is also reported to the stage's follower."""

    def update(self, n: float | None = 1) -> bool | None:
        shown: bool | None = super().update(n)
        self._tell()
        return shown

    def __iter__(self) -> Any:
        for item in super().__iter__():
            yield item
            self._tell()

    def _tell(self) -> None:
        if _report:
            _report[0](self.desc.removesuffix(": ") if self.desc else "", int(self.n), self.total)
