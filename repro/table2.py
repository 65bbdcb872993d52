"""Table 2: SimLM against sparse and dense retrievers, each stage of its pipeline a row.

`python -m repro.table2 --help` lists the options.
"""

from baselines.systems import system, systems_in
from reports.assess import Order
from repro.command import Options, main
from repro.published import published
from repro.released import MSMARCO, ReleasedOptions, chosen, released
from repro.run import run_table
from repro.table import PaperRow, RowSpec, Table, figures

DESCRIPTION = """Table 2 of SimLM (Wang et al., ACL 2023): measure every row on a collection and write a report.

Examples:
  python -m repro.table2                        the whole table at mini scale
  python -m repro.table2 --scale smoke          the whole pipeline on a few hundred passages
  python -m repro.table2 --dry-run              what would run, and for how long
  python -m repro.table2 --rows bm25 simlm-1    two rows and what they stand on
  python -m repro.table2 --scale paper --released    the published checkpoints of SimLM and others, without training
"""

SAME = (
    "The hard negatives and teacher scores are those of SimLM distilled, that is, SimLM's own, and so is the number of "
    "updates; only the start differs."
)


def table2() -> Table:
    """The rows of Table 2 with, beside them, the stages of Table 6 and the starts of Table 7."""
    stage = {
        name: figures("table6", model="SimLM", setting=setting)
        for name, setting in (
            ("simlm-1", "BM25 negatives (Retriever1)"),
            ("simlm-2", "+ mined negatives (Retriever2)"),
            ("reranker", "Cross-encoder re-ranker"),
        )
    }
    base = figures("table7", objective="BERT-base (no further pre-training)")
    rows = [
        RowSpec("bm25", "BM25 (k1 0.9, b 0.4)", "sparse", lambda c: c.bm25(), figures("table2", model="BM25")),
        RowSpec("bm25-tuned", "BM25, tuned on valid", "sparse", lambda c: c.bm25_tuned()),
        RowSpec("random", "random init, Retriever1", "dense", lambda c: c.retriever1("random")),
        RowSpec("base", "no further pre-training, Retriever1", "dense", lambda c: c.retriever1("base"), base),
        RowSpec(
            "base-distilled", "no further pre-training, distilled", "dense", lambda c: c.distilled("base"), note=SAME
        ),
        RowSpec("simlm-1", "SimLM, Retriever1", "dense", lambda c: c.retriever1("simlm"), stage["simlm-1"]),
        RowSpec("simlm-2", "SimLM, Retriever2", "dense", lambda c: c.retriever2(), stage["simlm-2"]),
        RowSpec("reranker", "SimLM, re-ranker", "reranker", lambda c: c.reranked(), stage["reranker"]),
        RowSpec("simlm", "SimLM, distilled", "dense", lambda c: c.distilled("simlm"), figures("table2", model="SimLM")),
        RowSpec("fusion", "BM25 + SimLM distilled, fused", "fusion", lambda c: c.fusion()),
    ]
    orders = [
        Order("base", "simlm-1", "Table 7"),
        Order("simlm-1", "simlm-2", "Table 6"),
        Order("simlm-2", "simlm", "Table 6", with_teacher=True),
        Order("simlm", "reranker", "Table 6", with_teacher=True),
        Order("bm25", "simlm", "Table 2"),
    ]
    return Table(
        name="table2",
        title="Table 2: main results",
        rows=rows,
        paper_only=_paper_only(),
        baselines=("bm25", "base", "base-distilled"),
        orders=orders,
    )


def _paper_only() -> list[PaperRow]:
    frame = published("table2")
    others = frame[~frame["model"].isin(["BM25", "SimLM"])]
    return [
        PaperRow(f"paper-{row.model.lower()}", row.model, row.family, figures("table2", model=row.model))
        for row in others.itertuples()
    ]


def run(options: Options) -> None:
    """Measure the chosen rows, or the published checkpoints, and write the report."""
    checkpoints = chosen(options)
    table = table2()
    if checkpoints is not None:
        table = released(
            table,
            [*systems_in("table2"), system("simlm-1"), system("simlm-reranker")],
            checkpoints,
            options.rows,
            MSMARCO,
        )
    run_table(table, options)


if __name__ == "__main__":
    main(run, DESCRIPTION, ReleasedOptions)
