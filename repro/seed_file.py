"""What the runs of the claims gave with one seed, as a file: published as the seed ends, an interruption loses nothing.

It has the measures of every test query, and what a page says of the stages below them. A published seed need not be
made again while what would run is what ran: the same settings and the same code, by the digests of both.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from reports.facts import StageFacts
from reports.files import ROOT
from reports.page import Cell
from reports.provenance import scrub
from simlm.errors import UserError
from simlm.files import write_atomically
from simlm.stages.runs import RunStage
from simlm.workflow.plan import Planned, job_of
from simlm.workflow.sources import sources_digest

FOLDER = "seeds"
"""The folder of these files among the published reports of a scale."""


@dataclass(frozen=True)
class SeedFile:
    """What the stages of one seed left.

    Attributes:
        stages: what made each, by its name, as `StageResults.identities` says it.
        facts: what each cost.
        runs: the sha256 of run files, by the name of their stage.
        data: what provenance says of the collections.
        warnings: on stages that learnt nothing.
        void: why claims cannot be tested although their rows were measured, by the claim.
        counted: lines of claims that need no test.
        queries: lists of the ids of test queries.
        values: of each run, by the hash of its settings: the number of its queries, and their values by measure.
    """

    stages: dict[str, dict[str, Any]]
    facts: list[dict[str, Any]]
    runs: dict[str, str]
    data: dict[str, dict[str, str]]
    warnings: list[str]
    void: dict[str, str]
    counted: list[dict[str, Cell]]
    queries: list[list[str]]
    values: dict[str, dict[str, Any]]

    def values_of(self, run: RunStage, measure: str) -> "pd.Series[float]":
        """Return a measure of every query of a run, by query."""
        found = self.values[job_of(run).name]
        return pd.Series(found[measure], index=self.queries[found["queries"]], dtype=float)

    def has(self, run: RunStage, measure: str) -> bool:
        """Return whether it has a measure of a run."""
        return measure in self.values.get(job_of(run).name, ())

    def stage_facts(self) -> list[StageFacts]:
        """Return what each stage cost."""
        return [StageFacts(**one) for one in self.facts]

    def is_of(self, planned: Sequence[Planned]) -> bool:
        """Return whether these stages are what would run: of the same settings, and by the code of today."""
        return {stage.job.name for stage in planned} == {one["identifier"] for one in self.stages.values()} and all(
            "sources" in one and one["sources"] == sources_digest(tuple(one["modules"])) for one in self.stages.values()
        )


def value_lists(measured: Iterable[tuple[RunStage, pd.DataFrame]]) -> tuple[list[list[str]], dict[str, dict[str, Any]]]:
    """Return `SeedFile.queries` and `SeedFile.values` of runs, each with its values by query and measure."""
    queries: list[list[str]] = []
    values: dict[str, dict[str, Any]] = {}
    for run, frame in measured:
        ids = list(frame.index)
        if ids not in queries:
            queries.append(ids)
        found = values.setdefault(job_of(run).name, {"queries": queries.index(ids)})
        found |= {str(name): [_short(value) for value in frame[name]] for name in frame}
    return queries, values


def _short(value: float) -> float | int:
    """Return a value with six digits, as stages write them."""
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() else rounded


def path_of(scale: str, seed: int) -> Path:
    """Return the published file of a seed."""
    return ROOT / scale / FOLDER / f"{seed}.json"


def write(file: SeedFile, path: Path) -> None:
    """Write it, a line a field, and a line a run."""
    lines = []
    for name, value in scrub(asdict(file)).items():
        if name == "values":
            runs = ",\n".join(f"{json.dumps(run)}: {json.dumps(one)}" for run, one in value.items())
            lines.append(f'"values": {{\n{runs}\n}}')
        else:
            lines.append(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def read(path: Path) -> SeedFile | None:
    """Return what a file holds, None where there is none; UserError where it is something else."""
    try:
        return SeedFile(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: this holds no seed's values ({error!r}); delete it or make it again") from None
