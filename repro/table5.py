"""Table 5: what the re-ranker starts from.

`python -m repro.table5 --help` lists the options.
"""

from repro.command import Options, main
from repro.pipeline_runs import PipelineRuns
from repro.run import run_table
from repro.table import MRR, RowSpec, Table, falling, figures
from simlm.stages.runs import RunStage

DESCRIPTION = """Table 5 of SimLM (Wang et al., ACL 2023): what the re-ranker starts from.

Every re-ranker is trained on the candidates of SimLM's Retriever2 with the same settings, and re-ranks its test run.
Below paper scale BERT and ELECTRA are models of the same size and budget, trained on the corpus in their manner.

Examples:
  python -m repro.table5                        the whole table at mini scale
  python -m repro.table5 --scale smoke          the same in small
  python -m repro.table5 --rows electra simlm   two starts
"""

PAPER = {"electra": "ELECTRA-base", "simlm": "SimLM", "base": "BERT-base"}
"""The paper's rows by start, best first."""
LABELS = {"electra": "ELECTRA-like (RTD)", "base": "BERT-like (MLM)"}
"""The stand-ins."""


def table5() -> Table:
    """The paper's three starts in its order of quality."""
    return Table(
        name="table5",
        title="Table 5: the re-ranker's initialisation",
        rows=[_row(start) for start in PAPER],
        baselines=("base",),
        columns=MRR,
        orders=falling(list(PAPER), "Table 5", with_teacher=True),
    )


def _row(start: str) -> RowSpec:
    def run(runs: PipelineRuns) -> RunStage:
        return runs.reranked(start)

    published = figures("table5", MRR, reranker_init=PAPER[start])
    label, public = (f"re-ranker from {name}" for name in (LABELS.get(start, PAPER[start]), PAPER[start]))
    return RowSpec(start, label, "reranker", run, published, public=public)


def run(options: Options) -> None:
    """Measure the chosen rows and write the report."""
    run_table(table5(), options)


if __name__ == "__main__":
    main(run, DESCRIPTION)
