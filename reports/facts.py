"""What a report says beside its figures: files, stages and their cost, query examples, settings and trials."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FileRef:
    """A file of the results, with its path in the results folder."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Curve:
    """A line of a plot through measured rows: (x, key of the row) from left to right."""

    label: str
    points: list[tuple[float, str]]


@dataclass(frozen=True)
class Curves:
    """Rows along a quantity, which `axis` names; the row `level` is drawn as a line across."""

    axis: str
    lines: list[Curve]
    level: str


@dataclass
class StageFacts:
    """A stage and what it cost, with interrupted attempts.

    `state` is "finished" or says why its manifest does not verify. `reused` says that the command found the stage made.
    """

    name: str
    identifier: str
    seconds: float | None = None
    tokens_per_second: float | None = None
    peak_memory_bytes: int | None = None
    energy_joules: float | None = None
    attempts: int = 1
    state: str = "finished"
    reused: bool = False


@dataclass(frozen=True)
class CasePassage:
    """A passage of a query example."""

    id: str
    text: str
    relevant: bool


@dataclass
class CaseResult:
    """The passages that one row ranks first for a query, and the rank of its first relevant one."""

    row: str
    passages: list[CasePassage]
    first_relevant_rank: int | None


@dataclass
class Case:
    """A query example: a query on which rows disagree."""

    query_id: str
    query: str
    relevant: list[CasePassage]
    results: list[CaseResult]


@dataclass(frozen=True)
class HyperParameter:
    """A setting: its value here and in the paper (or what the paper leaves open), and how ours was chosen."""

    name: str
    value: str
    paper: str
    chosen: str


@dataclass(frozen=True)
class Trial:
    """Settings that were tried on the validation split, and the score there."""

    settings: dict[str, Any]
    score: float
    chosen: bool


@dataclass
class Tuning:
    """All trials of one row, by one measure."""

    row: str
    measure: str
    trials: list[Trial]
