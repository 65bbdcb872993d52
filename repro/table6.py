"""Table 6: the stages of fine-tuning, SimLM against coCondenser.

`python -m repro.table6 --help` lists the options.
"""

from reports.assess import Order
from reports.model import MAIN_COLUMNS
from repro.command import Options, main
from repro.pipeline_runs import PipelineRuns
from repro.run import run_table
from repro.table import RowSpec, Table, figures
from simlm.stages.runs import RunStage

DESCRIPTION = """Table 6 of SimLM (Wang et al., ACL 2023): what each fine-tuning stage adds, SimLM against coCondenser.

Each start mines its own hard negatives. There is one teacher, the re-ranker trained on the candidates of SimLM's
Retriever2: it scores the passages that each start's distillation draws from that start's own negatives.

Examples:
  python -m repro.table6                            the whole table at mini scale
  python -m repro.table6 --scale smoke              the same in small
  python -m repro.table6 --rows simlm cocondenser   the last stage of each
"""

MODELS = {"cocondenser": "coCondenser", "simlm": "SimLM"}
"""The paper's models by start."""

SETTINGS = {
    ("cocondenser", 1): "BM25 negatives",
    ("cocondenser", 2): "+ mined negatives",
    ("cocondenser", 3): "+ distillation",
    ("simlm", 1): "BM25 negatives (Retriever1)",
    ("simlm", 2): "+ mined negatives (Retriever2)",
    ("simlm", 3): "+ distillation (Retriever distill)",
}
"""The paper's rows by start and stage."""

RERANKER = "Cross-encoder re-ranker"
COLUMNS = [column for column in MAIN_COLUMNS if column.key in ("mrr10", "r1k")]
TAUGHT = ("cocondenser", "simlm", "reranker")
"""The rows that a re-ranker has taught, or is."""
TEACHER = "The negatives are those of coCondenser's own Retriever2; SimLM's re-ranker, the one teacher, scored them."


def table6() -> Table:
    """The paper's rows: each stage of a start is better than the one before, and SimLM's than coCondenser's."""
    rows = [_row(start, stage) for start, stage in SETTINGS]
    published = figures("table6", COLUMNS, model="SimLM", setting=RERANKER)
    rows.append(RowSpec("reranker", f"SimLM: {RERANKER}", "reranker", lambda runs: runs.reranked(), published))
    steps = [(_key(start, stage), _key(start, stage + 1)) for start in MODELS for stage in (1, 2)]
    steps += [("simlm", "reranker"), *((_key("cocondenser", stage), _key("simlm", stage)) for stage in (1, 2, 3))]
    return Table(
        name="table6",
        title="Table 6: stages of fine-tuning",
        rows=rows,
        baselines=("cocondenser-1", "simlm-1"),
        columns=COLUMNS,
        orders=[Order(lower, higher, "Table 6", with_teacher=higher in TAUGHT) for lower, higher in steps],
    )


def _key(start: str, stage: int) -> str:
    """As in Table 2: the last stage has the start's name alone."""
    return start if stage == 3 else f"{start}-{stage}"


def _row(start: str, stage: int) -> RowSpec:
    def run(runs: PipelineRuns) -> RunStage:
        if stage == 3:
            return runs.distilled(start, miner=start)
        return runs.retriever1(start) if stage == 1 else runs.retriever2(start)

    setting = SETTINGS[start, stage]
    published = figures("table6", COLUMNS, model=MODELS[start], setting=setting)
    note = TEACHER if (start, stage) == ("cocondenser", 3) else ""
    return RowSpec(_key(start, stage), f"{MODELS[start]}: {setting}", "dense", run, published, note)


def run(options: Options) -> None:
    """Measure the chosen rows and write the report."""
    run_table(table6(), options)


if __name__ == "__main__":
    main(run, DESCRIPTION)
