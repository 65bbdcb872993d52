"""The ablations as grids of cells: which starts each compares, and one run for each start and seed."""

from collections.abc import Sequence
from dataclasses import dataclass

from ablations.corpora import CORPORA
from ablations.retriever1_runs import Retriever1Runs
from ablations.starts import GENERATORS, OBJECTIVES, OWN_RATES, PLMS, RATES, rates_name
from ablations.steps import CURVES, STEPS
from simlm.commands.seeds import naming_seed
from simlm.scales import open_scale
from simlm.stages.pipeline import Submit
from simlm.stages.runs import RunStage
from simlm.workflow.plan import Build

BY_DOMAIN = "corpora"
"""The grid that needs a collection whose questions have domains."""

GRIDS: dict[str, tuple[str, ...]] = {
    "objectives": ("simlm", *OBJECTIVES, "base", "random"),
    "replace_rates": tuple("simlm" if rates == OWN_RATES else rates_name(*rates) for rates in RATES),
    "generators": ("simlm", *GENERATORS),
    "plms": tuple(PLMS),
    "steps": ("base", *STEPS, *CURVES),
    BY_DOMAIN: tuple(CORPORA),
}
"""The starts that an ablation compares: Tables 7, 8, 12 and 1, Figure 3, and Table 10, whose starts are `CORPORA`'s."""


@dataclass(frozen=True)
class Cell:
    """A start of a grid, fine-tuned as Retriever1, with this number added to every seed of the scale."""

    grid: str
    start: str
    seed: int

    def __str__(self) -> str:
        return f"{self.grid} {self.start}, seed {self.seed}"


def cells_of(grids: Sequence[str], seeds: int) -> list[Cell]:
    """The cells of some grids with the seeds 0 to ``seeds`` - 1; 0 is the seed of the published tables."""
    chosen = dict.fromkeys(grids)
    return [Cell(grid, start, seed) for grid in chosen for start in GRIDS[grid] for seed in range(seeds)]


def build_cells(cells: Sequence[Cell], scale: str, collection: str = "") -> Build:
    """Builds the run of every cell, on the scale's collection or the reader's own.

    Stages that are equal, over grids, seeds and tables, are one and the same.
    """

    def build(submit: Submit) -> dict[Cell, RunStage]:
        runs: dict[Cell, RunStage] = {}
        for seed in sorted({cell.seed for cell in cells}):
            # A pipeline changes its scale's seeds: each needs a scale of its own.
            of_seed = Retriever1Runs(open_scale(scale, collection), seed, naming_seed(submit, seed))
            runs |= {cell: _run(of_seed, cell.start) for cell in cells if cell.seed == seed}
        return {cell: runs[cell] for cell in cells}

    return build


def _run(runs: Retriever1Runs, start: str) -> RunStage:
    """A start fine-tuned on the collection, or one of ``CORPORA`` on the half that is searched."""
    if start in CORPORA:
        searched, encoder = CORPORA[start]
        return runs.part(searched).retriever1(encoder)
    return runs.retriever1(start)
