"""Progress bars, and lines, that another process can show.

A stage runs in a process of its own, so its bars are not on the user's terminal: `follow` hands their progress on to
the driver, which shows it.
"""

import sys
from collections.abc import Iterator
from typing import Any, Protocol

from tqdm import tqdm


class Follower(Protocol):
    """Hands on what this process shows: the state of a bar, and single lines."""

    def progress(self, description: str, done: int, total: int | None) -> None: ...
    def say(self, line: str) -> None: ...


_followers: list[Follower] = []


def follow(follower: Follower) -> None:
    """Let every bar and line of this process also go to ``follower`` from now on."""
    _followers[:] = [follower]


def say(line: str) -> None:
    """Print a line, which a stage's log keeps and its driver shows."""
    print(line, file=sys.stderr, flush=True)
    for follower in _followers:
        follower.say(line)


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
        for follower in _followers:
            follower.progress(self.followed[0], self.done, self.followed[1])
