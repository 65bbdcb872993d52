"""Table 13: the hyper-parameters of fine-tuning, in force at a scale and in the paper.

`python -m repro.table13 --help` lists the options.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from reports.facts import HyperParameter
from reports.page import Page, Section
from repro.command import main
from repro.hyperparameters import FINE_TUNING
from repro.published import published
from repro.settings import beside, counts, others, run_settings
from simlm.scales import Scale

DESCRIPTION = """Table 13 of SimLM (Wang et al., ACL 2023): hyper-parameters of fine-tuning, read from the scale.

Nothing is trained.

Examples:
  python -m repro.table13                   those of the mini scale
  python -m repro.table13 --scale smoke     those of another
"""

SHARED = {
    "learning rate": "learning rate",
    "warmup steps": "warm-up steps",
    "batch size": "queries a batch",
    "epochs": "steps",
    "negatives depth": "negatives' depth",
    "negatives per query": "negatives a query",
}
"""Our setting for the paper's rows, after the prefix of the part that it is of."""
RETRIEVER = SHARED | {"temperature": "temperature", "query length": "query tokens", "passage length": "passage tokens"}
RERANKER = SHARED | {"initialisation": "start", "rerank depth": "depth", "passage length": "tokens a pair"}


class Part(NamedTuple):
    """A column of the paper's table, the prefix of our settings for it, and which they are."""

    heading: str
    column: str
    prefix: str
    names: dict[str, str]


PARTS = (
    Part("Retriever 1 and 2", "retriever_1_2", "Retriever1/2", RETRIEVER),
    Part("Re-ranker", "reranker", "re-ranker", RERANKER),
    Part("Retriever, distilled", "retriever_distill", "distillation", RETRIEVER | {"alpha": "alpha"}),
)
ABSENT = {
    "initialisation": "the row's own; the rows called SimLM start from SimLM's pre-training, as in the paper",
    "GPUs": "no setting: every report lists its machine",
}


def table13(scale: Scale, settings: Sequence[HyperParameter]) -> Page:
    """A section for each column of the paper, and one for the settings that the table does not name."""
    paper = published("table13").set_index("hyperparameter")
    ours = [one for one in settings if one.name.startswith(FINE_TUNING)]
    sections, named = [], set()
    for part in PARTS:
        names = {row: f"{part.prefix}: {name}" for row, name in part.names.items()}
        column = paper[[part.column]].set_axis(["MS MARCO"], axis=1)
        sections.append(Section(part.heading, beside(column, names, ABSENT, ours)))
        named |= set(names.values())
    return Page(
        title="Table 13: hyper-parameters of fine-tuning",
        scale=scale.name,
        introduction=(
            f"What is in force at this scale, on {scale.collection}, read from its configuration, beside what the "
            f"prints for MS MARCO.{counts(scale)} Where the paper counts epochs, the scale counts updates."
        ),
        sections=[*sections, Section("Settings that it does not name", others(named, ours))],
    )


run = partial(run_settings, "table13", table13)
"""Write the page."""

if __name__ == "__main__":
    main(run, DESCRIPTION)
