"""The ablations as grids: a cell is one start with one seed, fine-tuned as Retriever1."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ablations.retriever1_runs import Retriever1Runs
from ablations.starts import (
    COMPARED,
    FOLLOWED,
    GENERATORS,
    OWN_RATES,
    PLMS,
    RATES,
    SNAPSHOTS,
    corpus_name,
    rates_name,
)
from simlm.commands.seeds import naming_seed
from simlm.data.catalogue import HALVES
from simlm.scales import Scale
from simlm.stages.pipeline import Submit
from simlm.stages.runs import RunStage
from simlm.workflow.plan import Build

NONE = "none"
"""No further pre-training, among the corpora of Table 10."""


def corpora(searched: str) -> list[str]:
    """Return what the starts on a half were pre-trained on, best first by the paper: it, the other half, nothing."""
    return [searched, *(half for half in HALVES if half != searched), NONE]


def cell_name(searched: str, corpus: str) -> str:
    """Return the name of a cell of Table 10, which is the key of its row."""
    return f"{searched}-on-{corpus}"


CORPORA: dict[str, tuple[str, str]] = {
    cell_name(searched, corpus): (searched, "base" if corpus == NONE else corpus_name(corpus))
    for searched in HALVES
    for corpus in corpora(searched)
}
"""The half that is searched and the start that is fine-tuned on it, of each cell of Table 10."""

BY_DOMAIN = "corpora"
"""The grid that needs a collection whose questions have domains."""

GRIDS: dict[str, tuple[str, ...]] = {
    "objectives": ("simlm", *COMPARED, "base", "random"),
    "replace_rates": tuple("simlm" if rates == OWN_RATES else rates_name(*rates) for rates in RATES),
    "generators": ("simlm", *GENERATORS),
    "plms": tuple(PLMS),
    "steps": ("base", *SNAPSHOTS, *FOLLOWED),
    BY_DOMAIN: tuple(CORPORA),
}
"""The starts that each ablation compares: those of Tables 7, 8, 12 and 1 and Figure 3, and the cells of Table 10."""


@dataclass(frozen=True)
class Cell:
    """One start of a grid with one seed, a number that is added to every seed of the scale."""

    grid: str
    start: str
    seed: int

    def __str__(self) -> str:
        return f"{self.grid} {self.start}, seed {self.seed}"


def cells_of(grids: Sequence[str], seeds: int, without: Collection[str] = ()) -> list[Cell]:
    """Return the cells of some grids with the seeds 0 to ``seeds`` - 1; the published tables have seed 0.

    ``without`` names the starts that are left out.
    """
    starts = [(grid, start) for grid in dict.fromkeys(grids) for start in GRIDS[grid] if start not in without]
    return [Cell(grid, start, seed) for grid, start in starts for seed in range(seeds)]


def build_cells(cells: Sequence[Cell], scale: Callable[[], Scale]) -> Build:
    """Return what builds the run of every cell, at the scale that a call of ``scale`` returns anew.

    Equal stages of several grids, seeds and tables are one and the same.
    """

    def build(submit: Submit) -> dict[Cell, RunStage]:
        runs: dict[Cell, RunStage] = {}
        for seed in sorted({cell.seed for cell in cells}):
            # A pipeline changes its scale's seeds: each needs a scale of its own.
            of_seed = Retriever1Runs(scale(), seed, naming_seed(submit, seed))
            runs |= {cell: _run(of_seed, cell.start) for cell in cells if cell.seed == seed}
        return {cell: runs[cell] for cell in cells}

    return build


def _run(runs: Retriever1Runs, start: str) -> RunStage:
    """Return the run of a start: on the whole collection, or for one of ``CORPORA`` on the half that is searched."""
    if start in CORPORA:
        searched, encoder = CORPORA[start]
        return runs.half(searched).retriever1(encoder)
    return runs.retriever1(start)
