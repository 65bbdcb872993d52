"""Table 13: the hyper-parameters of fine-tuning, in force at a scale and in the paper. Nothing is trained.

Examples:
  python -m repro.table13                   those of the mini scale
  python -m repro.table13 --scale smoke     those of another
"""

from collections.abc import Sequence
from functools import partial

from reports.model import HyperParameter
from reports.page import Page
from repro.command import main
from repro.hyperparameters import FINE_TUNING
from repro.settings_page import PaperColumns, run_settings, settings_page
from simlm.scales import Scale

SHARED = {
    "learning rate": "learning rate",
    "warmup steps": "warm-up steps",
    "batch size": "queries a batch",
    "epochs": "steps",
    "negatives depth": "negatives' depth",
    "negatives per query": "negatives a query",
}
"""Our setting for each of the paper's rows, after the prefix of the stage."""
RETRIEVER = SHARED | {"temperature": "temperature", "query length": "query tokens", "passage length": "passage tokens"}
RERANKER = SHARED | {"initialisation": "start", "rerank depth": "depth", "passage length": "tokens a pair"}
ABSENT = {
    "initialisation": "the row's own; the rows called SimLM start from SimLM's pre-training, as in the paper",
    "GPUs": "no setting: every report lists its machine",
}


def _column(heading: str, column: str, prefix: str, settings: dict[str, str]) -> PaperColumns:
    return PaperColumns(heading, {column: "MS MARCO"}, {row: f"{prefix}: {name}" for row, name in settings.items()})


COLUMNS_OF_PAPER = [
    _column("Retriever 1 and 2", "retriever_1_2", "Retriever1/2", RETRIEVER),
    _column("Re-ranker", "reranker", "re-ranker", RERANKER),
    _column("Retriever, distilled", "retriever_distill", "distillation", RETRIEVER | {"alpha": "alpha"}),
]


def table13(scale: Scale, settings: Sequence[HyperParameter]) -> Page:
    """Return the page: a section for each column of the paper, and one for the settings that it does not name."""
    return settings_page(
        "Table 13: hyper-parameters of fine-tuning",
        "table13",
        " for MS MARCO.{counts} Where the paper counts epochs, the scale counts updates.",
        COLUMNS_OF_PAPER,
        ABSENT,
        scale,
        [one for one in settings if one.name.startswith(FINE_TUNING)],
    )


run = partial(run_settings, "table13", table13)
"""Write the page."""

if __name__ == "__main__":
    main(run, __doc__)
