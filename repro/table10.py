"""Table 10: whether the pre-training corpus has to be the one that is searched.

The collection is split by domain into two halves. On each, three starts are fine-tuned as Retriever1 and evaluated:
pre-trained on that half, on the other half, and without further pre-training.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ablations.grids import CORPORA, NONE, cell_name, corpora
from reports.model import MAIN_MEASURES, Column
from repro.public_start import public_start
from repro.run import table_command
from repro.table import GroupSpec, RowSpec, Table, falling, figures
from simlm.data.catalogue import HALVES
from simlm.stages.runs import RunStage
from simlm.workflow.stage import Stage

STANDS_FOR = {
    "life": (
        "MS-MARCO",
        (
            Column("ms_marco_mrr10", "MS MARCO dev", "MRR@10", "RR@10"),
            Column("ms_marco_r1k", "MS MARCO dev", "R@1k", "R@1000"),
        ),
        MAIN_MEASURES,
    ),
    "auto": (
        "Wikipedia",
        (Column("nq_r20", "NQ test", "R@20", "Success@20"), Column("nq_r100", "NQ test", "R@100", "Success@100")),
        ("Success@20", "Success@100", "RR@10", "R@1000"),
    ),
}
"""What each half stands for: the paper's corpus, the paper's columns for it, and our measures.

The paper's R@20 and R@100 on NQ are shares of questions with an answering passage among the first: Success@20, @100.
"""

REMARKS = (
    "One collection is split by domain into two halves that stand for the paper's two. Which of them stands for MS "
    "MARCO and which for Wikipedia and NQ is no more than an analogy: what counts in either is whether the row "
    "pre-trained on the half that is searched is above the one pre-trained on the other half, and that above none.",
    "The rule of the split: a passage belongs to the domain of the first question that it answers (train before valid "
    "before test), a half is made of whole domains, and of all ways to do so the one with the most even numbers of "
    "passages is taken. A half has the questions of its domains with a relevant passage in it.",
    "{base}only the matching row's encoder was trained on the searched passages. Every pre-training has the same "
    "number of updates and every fine-tuning the same, Table 2's, on a collection of half the size.",
)
OWN_BASE = (
    "Every row has the same tokenizer and every pre-training the same generator, both trained on both halves, as "
    "ELECTRA is a model of general text. The base model, which stands for BERT-base, begins with word vectors (Levy & "
    "Goldberg 2014) and attention that passes on what it reads (Trockman & Kolter 2023), of the half that is not "
    "searched, in all three rows: "
)
PUBLIC_BASE = (
    "The tokenizer and the base model, which stands for BERT-base, are public ones in all three rows. Every "
    "pre-training has the same generator and begins with the same MLM head, both trained on both halves: "
)


def table10() -> Table:
    """Return the three starts on each half; rows are compared with those that are measured on the same half."""
    rows = [_row(searched, corpus) for searched in HALVES for corpus in corpora(searched)]
    groups = [GroupSpec(key, tuple(_keys(key)[1:]), STANDS_FOR[key][1], STANDS_FOR[key][2]) for key in HALVES]
    return Table(
        name="table10",
        title="Table 10: the pre-training corpus",
        rows=rows,
        baselines=[key for group in groups for key in group.baselines],
        columns=[column for group in groups for column in group.columns],
        measures=list(dict.fromkeys(measure for group in groups for measure in group.measures)),
        groups=groups,
        by_domain=True,
        orders=[order for key in HALVES for order in falling(_keys(key), "Table 10")],
        remarks=_remarks,
    )


def _remarks(runs: Sequence[RunStage], numbers: Callable[[Stage], dict[str, Any]]) -> list[str]:
    return [said.format(base=PUBLIC_BASE if public_start(runs) else OWN_BASE) for said in REMARKS]


def _keys(searched: str) -> list[str]:
    return [cell_name(searched, corpus) for corpus in corpora(searched)]


def _row(searched: str, corpus: str) -> RowSpec:
    key = cell_name(searched, corpus)
    _, start = CORPORA[key]
    how = "no further pre-training" if corpus == NONE else f"pre-trained on {corpus}"
    paper = corpus if corpus == NONE else STANDS_FOR[corpus][0]
    return RowSpec(
        key=key,
        label=f"{searched}, {how}{' (matching)' if corpus == searched else ''}",
        kind="dense",
        run=lambda runs: runs.half(searched).retriever1(start),
        published=figures("table10", STANDS_FOR[searched][1], pretraining_corpus=paper),
        group=searched,
    )


if __name__ == "__main__":
    table_command(table10(), __doc__)
