"""Table 5: what the re-ranker starts from.

Every re-ranker is trained on the candidates of SimLM's Retriever2 with the same settings, and re-ranks its test run.
Below paper scale the stand-ins of BERT and ELECTRA are those of Table 1.
"""

from repro.pipeline_runs import PipelineRuns
from repro.run import table_command
from repro.table import BERT_LIKE, MRR, RowSpec, Table, falling, figures
from simlm.scales import Scale
from simlm.scales.minilm import LAYERS, MINILM
from simlm.stages.runs import RunStage

MODELS = {
    "electra": ("ELECTRA-base", "ELECTRA-like (word vectors, then RTD)"),
    "simlm": ("SimLM", "SimLM"),
    "base": ("BERT-base", BERT_LIKE),
}
"""The paper's name of each start, best first, and what it is called below paper scale."""


def table5() -> Table:
    """Return the paper's three starts in its order of quality."""
    return Table(
        name="table5",
        title="Table 5: the re-ranker's initialisation",
        rows=[_row(start) for start in MODELS],
        baselines=("base",),
        columns=MRR,
        orders=falling(list(MODELS), "Table 5", with_teacher=True),
        beside=_beside,
    )


def _beside(scale: Scale) -> list[RowSpec]:
    """Return the re-ranker from a public model, which is no stand-in of any in the paper, where the scale has it."""
    if scale.reranker_start != MINILM:
        return []
    label = f"re-ranker from the first {LAYERS} layers of all-MiniLM-L6-v2 (a public model)"
    return [RowSpec(MINILM, label, "reranker", lambda runs: runs.reranked(MINILM))]


def _row(start: str) -> RowSpec:
    def run(runs: PipelineRuns) -> RunStage:
        return runs.reranked(start)

    model, label = MODELS[start]
    published = figures("table5", MRR, reranker_init=model)
    return RowSpec(start, f"re-ranker from {label}", "reranker", run, published, public=f"re-ranker from {model}")


if __name__ == "__main__":
    table_command(table5(), __doc__)
