"""What a report says beside its figures: files, stages and their cost, query examples, settings and trials."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FileRef:
    """A file of the results, by its path relative to the results folder."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Curve:
    """A line through rows that were measured: (x, row key) from left to right."""

    label: str
    points: list[tuple[float, str]]


@dataclass(frozen=True)
class Curves:
    """Rows along a quantity, whose name `axis` is, and the row that is drawn as a level beside them."""

    axis: str
    lines: list[Curve]
    level: str


@dataclass
class StageFacts:
    """A step of the pipeline and what it cost, added up over interrupted attempts.

    `state` is what its manifest says ("valid"); `reused` whether this command found it done.
    """

    name: str
    identifier: str
    seconds: float | None = None
    tokens_per_second: float | None = None
    peak_memory_bytes: int | None = None
    energy_joules: float | None = None
    attempts: int = 1
    state: str = "valid"
    reused: bool = False


@dataclass(frozen=True)
class CasePassage:
    """A passage as a case shows it."""

    id: str
    text: str
    relevant: bool


@dataclass
class CaseResult:
    """The top passages that one row has for a case's query, and where its first relevant passage is."""

    row: str
    passages: list[CasePassage]
    first_relevant_rank: int | None


@dataclass
class Case:
    """A query on which rows disagree."""

    query_id: str
    query: str
    relevant: list[CasePassage]
    results: list[CaseResult]


@dataclass(frozen=True)
class HyperParameter:
    """A setting in force, the paper's (or what the paper does not say), and how ours was chosen."""

    name: str
    value: str
    paper: str
    chosen: str


@dataclass(frozen=True)
class Trial:
    """One setting that was tried on the validation split, with what it scored there."""

    settings: dict[str, Any]
    score: float
    chosen: bool


@dataclass
class Tuning:
    """All trials of one row, scored by `measure` on the validation split."""

    row: str
    measure: str
    trials: list[Trial]
