"""Table 4: the share of questions with an answer among the first 20 and 100 passages, the protocol of NQ.

Every run is one of Table 2's, or with --scale paper --collection nq:FILE one of Natural Questions (Wikipedia, NQ's own
training). The collection below paper scale has no answers: they are derived from its passages.
"""

from collections.abc import Callable, Sequence
from typing import Any

from baselines.checkpoints import Checkpoints
from baselines.system import System
from baselines.systems import systems_in
from reports.assess import Order
from reports.model import Column
from repro.pipeline_runs import PipelineRuns
from repro.published import published
from repro.released import system_pipeline, system_run
from repro.run import table_command
from repro.table import PaperRow, ReleasedRows, RowSpec, Table, figures
from simlm.data.catalogue import NQ
from simlm.evaluation.answers import MEASURES
from simlm.stages.answers import Answered, DerivedAnswers
from simlm.stages.runs import RunStage
from simlm.workflow.stage import Stage

NQ_TEST = "Natural Questions test"
R20_AND_R100 = (Column("r20", NQ_TEST, "R@20", "Success@20"), Column("r100", NQ_TEST, "R@100", "Success@100"))
MEASURED = ("BM25", "coCondenser", "SimLM")
"""The paper's rows that are measured here; the others are quoted."""
AS_PUBLISHED = (
    "coCondenser as its authors published it: fine-tuned on the negatives of its own Retriever1, without distillation "
    '(Table 6: "+ mined negatives").'
)

MATCHING = (
    "As in the paper, a passage counts when its text contains an answer, by DPR's match of strings, whether or not it "
    "is judged relevant. The paper's R@k is Success@k here, the share of questions with such a passage in the top k; "
    "R@k of ir_measures is another measure, the share of the relevant passages that were found. Runs end at rank 100; "
    "the queries shown below mark the passages that are judged relevant."
)


def table4() -> Table:
    """Return BM25, coCondenser and SimLM beside no further pre-training; the paper's other retrievers are quoted."""
    bm25, cocondenser, simlm = map(_figures, MEASURED)
    rows = [
        RowSpec("bm25", "BM25 (k1 0.9, b 0.4)", "sparse", lambda runs: runs.answered(runs.bm25(), "BM25"), bm25),
        _retriever1("base", "base", "no further pre-training, Retriever1"),
        _retriever1("simlm-1", "simlm", "SimLM, Retriever1"),
        RowSpec(
            "cocondenser-2",
            "coCondenser, mined negatives",
            "dense",
            lambda runs: runs.answered(runs.retriever2("cocondenser"), "Retriever2 (cocondenser)"),
            cocondenser,
            AS_PUBLISHED,
        ),
        RowSpec(
            "simlm",
            "SimLM, distilled",
            "dense",
            lambda runs: runs.answered(runs.distilled("simlm"), "Retriever_distill (simlm)"),
            simlm,
        ),
    ]
    return Table(
        name="table4",
        title="Table 4: share of questions answered",
        rows=rows,
        paper_only=[
            PaperRow(f"paper-{name.lower()}", name, "dense", _figures(name))
            for name in published("table4")["model"]
            if name not in MEASURED
        ],
        baselines=("bm25", "base"),
        orders=[Order(lower, "simlm", "Table 4") for lower in ("bm25", "cocondenser-2")],
        measures=[str(measure) for measure in MEASURES],
        columns=R20_AND_R100,
        by_answers=True,
        released=ReleasedRows(
            systems_in("table4"), NQ, _answered, "Table 4 is of Natural Questions; add --collection nq:FILE"
        ),
        remarks=_remarks,
    )


def _figures(model: str) -> dict[str, float]:
    return figures("table4", R20_AND_R100, model=model)


def _retriever1(key: str, start: str, label: str) -> RowSpec:
    return RowSpec(key, label, "dense", lambda runs: runs.answered(runs.retriever1(start), f"Retriever1 ({start})"))


def _remarks(runs: Sequence[RunStage], numbers: Callable[[Stage], dict[str, Any]]) -> list[str]:
    """Say how the answers were made, how rare they are, and how passages are matched."""
    answers = {id(run.answers): run.answers for run in runs if isinstance(run, Answered)}
    derived = [one for one in answers.values() if isinstance(one, DerivedAnswers)]
    return [_derived(one, numbers(one)["test"]) for one in derived] + [MATCHING]


def _derived(answers: DerivedAnswers, counts: dict[str, int]) -> str:
    return (
        f"The answers are derived, as this collection has none. Each relevant passage of a question gives one: the "
        f"{answers.words} adjacent words of its text, none of them in the question, that the fewest passages contain, "
        f"the first of equally rare ones. Of {counts['answers']:,} answers, {counts['in one passage']:,} are in no "
        f"other passage, and none is in more than {counts['most passages']:,}; questions without an answer: "
        f"{counts['questions without']:,}."
    )


def _answered(runs: PipelineRuns, system: System, checkpoints: Checkpoints) -> RunStage:
    return system_pipeline(runs, system, checkpoints).answered(system_run(runs, system, checkpoints), "test")


if __name__ == "__main__":
    table_command(table4(), __doc__)
