"""Table 6: what each stage of fine-tuning adds, SimLM against coCondenser.

Each start mines its own hard negatives. There is one teacher, the re-ranker trained on the candidates of SimLM's
Retriever2: it scores the passages that each start's distillation draws from that start's own negatives.
"""

from reports.assess import Order
from repro.pipeline_runs import PipelineRuns
from repro.run import table_command
from repro.table import MRR_AND_R1K, RowSpec, Table, figures
from simlm.stages.runs import RunStage

MODELS = {"cocondenser": "coCondenser", "simlm": "SimLM"}
"""The paper's name of each start."""
STAGES = {
    ("cocondenser", 1): "BM25 negatives",
    ("cocondenser", 2): "+ mined negatives",
    ("cocondenser", 3): "+ distillation",
    ("simlm", 1): "BM25 negatives (Retriever1)",
    ("simlm", 2): "+ mined negatives (Retriever2)",
    ("simlm", 3): "+ distillation (Retriever distill)",
}
"""The paper's name of each stage of a start."""
RERANKER = "Cross-encoder re-ranker"
WITH_TEACHER = ("cocondenser", "simlm", "reranker")
"""The rows that learnt from the trained re-ranker, and the re-ranker itself."""
ONE_TEACHER = (
    "The negatives are those of coCondenser's own Retriever2; SimLM's re-ranker, the one teacher, scored them."
)


def table6() -> Table:
    """Return the paper's rows: each stage is above the one before, and SimLM's above the same of coCondenser."""
    rows = [_row(start, stage) for start, stage in STAGES]
    published = figures("table6", MRR_AND_R1K, model="SimLM", setting=RERANKER)
    rows.append(RowSpec("reranker", f"SimLM: {RERANKER}", "reranker", lambda runs: runs.reranked(), published))
    steps = [(_key(start, stage), _key(start, stage + 1)) for start in MODELS for stage in (1, 2)]
    steps += [("simlm", "reranker"), *((_key("cocondenser", stage), _key("simlm", stage)) for stage in (1, 2, 3))]
    return Table(
        name="table6",
        title="Table 6: stages of fine-tuning",
        rows=rows,
        baselines=("cocondenser-1", "simlm-1"),
        columns=MRR_AND_R1K,
        orders=[Order(lower, higher, "Table 6", with_teacher=higher in WITH_TEACHER) for lower, higher in steps],
    )


def _key(start: str, stage: int) -> str:
    """Return the key of a row: as in Table 2, the last stage has the name of the start alone."""
    return start if stage == 3 else f"{start}-{stage}"


def _row(start: str, stage: int) -> RowSpec:
    def run(runs: PipelineRuns) -> RunStage:
        if stage == 3:
            return runs.distilled(start, miner=start)
        return runs.retriever1(start) if stage == 1 else runs.retriever2(start)

    setting = STAGES[start, stage]
    published = figures("table6", MRR_AND_R1K, model=MODELS[start], setting=setting)
    note = ONE_TEACHER if (start, stage) == ("cocondenser", 3) else ""
    return RowSpec(_key(start, stage), f"{MODELS[start]}: {setting}", "dense", run, published, note)


if __name__ == "__main__":
    table_command(table6(), __doc__)
