"""Table 4: the NQ protocol, where a passage counts that contains an answer.

`python -m repro.table4 --help` lists the options.
"""

from collections.abc import Callable, Sequence
from typing import Any

from baselines.system import System
from baselines.systems import systems_in
from reports.assess import Order
from reports.model import Column
from repro.checkpoints import Checkpoints
from repro.command import Options, main
from repro.pipeline_runs import PipelineRuns
from repro.published import published
from repro.released import NQ, ReleasedOptions, chosen, ranked, reading, released
from repro.run import run_table
from repro.table import PaperRow, RowSpec, Table, figures
from simlm.errors import UserError
from simlm.evaluation.answers import MEASURES
from simlm.stages.answers import Answered, DerivedAnswers
from simlm.stages.runs import RunStage
from simlm.workflow.stage import Stage

DESCRIPTION = """Table 4 of SimLM (Wang et al., ACL 2023): the share of questions with an answer in the top 20 and 100.

Every run is one of Table 2's, or with nq:FILE one of Natural Questions. The collection below paper scale has no
answers: they are derived from its passages.

Examples:
  python -m repro.table4                    the whole table at mini scale
  python -m repro.table4 --scale smoke      the same in small
  python -m repro.table4 --scale paper --collection nq:FILE    the paper's own: Wikipedia, NQ's training
  python -m repro.table4 --scale paper --released --collection nq:FILE    the published DPR, without training
"""

PLACE = "Natural Questions test"
COLUMNS = (Column("r20", PLACE, "R@20", "Success@20"), Column("r100", PLACE, "R@100", "Success@100"))
MEASURED = ("BM25", "SimLM")
"""The paper's rows that are measured here; the others are only quoted."""

MATCHING = (
    "As in the paper, a passage counts when its text contains an answer, by DPR's match of strings, whether or not it "
    "is judged relevant. The paper's R@k is Success@k here, the share of questions with such a passage in the top k; "
    "R@k of ir_measures is another measure, the share of the relevant passages that were found. Runs end at rank 100; "
    "the queries shown below mark the passages that are judged relevant."
)


def table4() -> Table:
    """BM25, and both starts; the paper's other retrievers are quoted."""
    rows = [
        RowSpec(
            "bm25", "BM25 (k1 0.9, b 0.4)", "sparse", lambda c: c.answered(c.bm25(), "BM25"), _figures(MEASURED[0])
        ),
        _retriever1("base", "base", "no further pre-training, Retriever1"),
        _retriever1("simlm-1", "simlm", "SimLM, Retriever1"),
        RowSpec(
            "simlm",
            "SimLM, distilled",
            "dense",
            lambda c: c.answered(c.distilled("simlm"), "Retriever_distill (simlm)"),
            _figures(MEASURED[1]),
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
        orders=[Order("bm25", "simlm", "Table 4")],
        measures=[str(measure) for measure in MEASURES],
        columns=COLUMNS,
        by_answers=True,
        remarks=_remarks,
    )


def _figures(model: str) -> dict[str, float]:
    return figures("table4", COLUMNS, model=model)


def _retriever1(key: str, start: str, label: str) -> RowSpec:
    return RowSpec(key, label, "dense", lambda c: c.answered(c.retriever1(start), f"Retriever1 ({start})"))


def _remarks(runs: Sequence[RunStage], numbers: Callable[[Stage], dict[str, Any]]) -> list[str]:
    """How the answers came about, and how rare they are."""
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


def run(options: Options) -> None:
    """Measure the chosen rows, or the published checkpoints, and write the report."""
    checkpoints = chosen(options)
    table = table4()
    if checkpoints is not None:
        if not options.collection:
            raise UserError("--released: Table 4 is of Natural Questions; add --collection nq:FILE")
        table = released(table, systems_in("table4"), checkpoints, options.rows, NQ, _answered)
    run_table(table, options)


def _answered(runs: PipelineRuns, system: System, checkpoints: Checkpoints) -> RunStage:
    return reading(runs, system, checkpoints).answered(ranked(runs, system, checkpoints), "test")


if __name__ == "__main__":
    main(run, DESCRIPTION, ReleasedOptions)
