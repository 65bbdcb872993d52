"""A pipeline of light stages, without torch, for the driver's tests.

Stages run in processes of their own, which import this module; what a test wants of them comes by SIMLM_TOY_ variables,
which the driver hands on.
"""

import os
import signal
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from experimaestro import Constant, Param

from simlm.errors import UserError
from simlm.files import intact, sealed_file
from simlm.progress import Bar
from simlm.workflow.stage import Stage

PAUSE, PATIENCE = 0.05, 180.0


class Number(Stage):
    """Writes a number, step by step, and goes on from the last whole step when it was killed."""

    value: Param[int]
    version: Constant[int] = int(os.environ.get("SIMLM_TOY_VERSION", "1"))

    def run(self) -> dict[str, Any]:
        resumed = done = next(number for number in count() if not intact(self.step(number)))
        found = int(self.step(resumed - 1).read_text()) if resumed else self.value
        steps = int(os.environ.get("SIMLM_TOY_STEPS", "0"))
        held = bytearray(b"x" * 2**20 * int(os.environ.get("SIMLM_TOY_MEMORY", "0")))
        with Bar(total=steps, initial=done, desc="counting", disable=False) as bar:
            while done < steps:
                time.sleep(PAUSE)
                with sealed_file(self.step(done)) as temporary:
                    temporary.write_text(str(found))
                done += 1
                bar.update(1)
        del held
        if gate := os.environ.get("SIMLM_TOY_GATE"):
            wait_for(Path(gate))
        (self.folder / "number.txt").write_text(f"{found}\n")
        return {"resumed_from": resumed, "home": os.environ.get("HOME")}

    def step(self, number: int) -> Path:
        return self.work / "steps" / f"step-{number}"

    def read(self) -> int:
        """The number that was written."""
        return int((self.folder / "number.txt").read_text())


def wait_for(gate: Path) -> None:
    """Until a test makes that file, or fails for want of it."""
    deadline = time.monotonic() + PATIENCE
    while not gate.exists() and time.monotonic() < deadline:
        time.sleep(PAUSE)


class Restless(Number):
    """Writes something else each time."""

    def run(self) -> dict[str, Any]:
        (self.folder / "number.txt").write_text(f"{self.value}\n")
        (self.folder / "when.txt").write_text(f"{time.time_ns()}\n")
        return {}


class Sum(Number):
    """Adds what its parts wrote to its own value."""

    parts: Param[list[Number]]

    def run(self) -> dict[str, Any]:
        figures = super().run()
        (self.folder / "number.txt").write_text(f"{self.read() + sum(part.read() for part in self.parts)}\n")
        return figures


class Mistaken(Number):
    """Fails by a user's mistake while SIMLM_TOY_WRONG is set."""

    def run(self) -> dict[str, Any]:
        if os.environ.get("SIMLM_TOY_WRONG"):
            raise UserError("numbers.txt, line 3: 'x' is no number; write digits")
        return super().run()


class Broken(Number):
    """Fails by a fault of its own while SIMLM_TOY_WRONG is set."""

    def run(self) -> dict[str, Any]:
        if os.environ.get("SIMLM_TOY_WRONG"):
            raise ValueError("the seventh wheel came off")
        return super().run()


class Shared(Number):
    """Counts in several processes together; SIMLM_TOY_WRONG makes the second of them fail in one of some ways."""

    shared = True

    def run(self) -> dict[str, Any]:
        from simlm.distributed import is_first, processes, rank, wait_for_all

        self.work.mkdir(parents=True, exist_ok=True)
        (self.work / f"worker-{rank()}").write_text(str(os.getpid()))
        wait_for_all()
        wrong = os.environ.get("SIMLM_TOY_WRONG") if rank() == 1 else None
        if wrong == "mistake":
            raise UserError("numbers.txt, line 3: 'x' is no number; write digits")
        if wrong == "fault":
            raise ValueError("the seventh wheel came off")
        if wrong == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(os.environ.get("SIMLM_TOY_SECONDS", "0")))
        wait_for_all()
        if is_first():
            (self.folder / "number.txt").write_text(f"{self.value}\n")
        return {"processes": processes(), "rank": rank()}


Submit = Callable[[Stage, str], object]


def _add(submit: Submit, stage: Any, name: str) -> Any:
    submit(stage, name)
    return stage


def tree(submit: Submit, leaf: type[Number] = Number) -> Number:
    """top <- (left <- leaf, right <- leaf)"""
    low = _add(submit, leaf.C(value=1), "leaf")
    left = _add(submit, Sum.C(value=10, parts=[low]), "left")
    right = _add(submit, Sum.C(value=100, parts=[low]), "right")
    return _add(submit, Sum.C(value=1000, parts=[left, right]), "top")


def two_trees(submit: Submit, leaf: type[Number] = Number) -> list[Number]:
    """A leaf that two sums stand on, one of them by way of a stage that fails."""
    low = _add(submit, leaf.C(value=1), "leaf")
    wrong = _add(submit, Broken.C(value=2), "wrong")
    above = _add(submit, Sum.C(value=20, parts=[low, wrong]), "above wrong")
    top = _add(submit, Sum.C(value=200, parts=[above]), "top of wrong")
    right = _add(submit, Sum.C(value=10, parts=[low]), "right")
    return [top, _add(submit, Sum.C(value=100, parts=[right]), "top of right")]


SHAPES: dict[str, Callable[[Submit], Any]] = {
    "tree": tree,
    "restless": lambda submit: tree(submit, Restless),
    "mistaken": lambda submit: tree(submit, Mistaken),
    "broken": lambda submit: tree(submit, Broken),
    "two trees": two_trees,
    "two restless trees": lambda submit: two_trees(submit, Restless),
    "shared": lambda submit: _add(submit, Shared.C(value=1), "shared"),
    "leaf": lambda submit: _add(submit, Number.C(value=1), "leaf"),
    "twice": lambda submit: [_add(submit, Number.C(value=1), name) for name in ("leaf", "the same leaf")][-1],
}
