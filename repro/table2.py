"""Table 2: SimLM against sparse and dense retrievers, with a row for each stage of SimLM's pipeline."""

from baselines.minilm import SYSTEM as MINILM_AS_PUBLISHED
from baselines.systems import system, systems_in
from reports.assess import Order
from repro.published import published
from repro.run import table_command
from repro.table import PaperRow, ReleasedRows, RowSpec, Table, figures
from simlm.data.catalogue import MSMARCO
from simlm.scales import Scale, lacks_minilm
from simlm.scales.minilm import MINILM, REPOSITORY

SAME_TEACHER = (
    "The hard negatives and teacher scores are those of SimLM distilled, that is, SimLM's own, and so is the number of "
    "updates; only the start differs."
)


def table2() -> Table:
    """Return the rows of Table 2 together with the stages of Table 6 and the starts of Table 7."""
    bm25, simlm = (figures("table2", model=model) for model in ("BM25", "SimLM"))
    first, second, reranked = (
        figures("table6", model="SimLM", setting=setting)
        for setting in ("BM25 negatives (Retriever1)", "+ mined negatives (Retriever2)", "Cross-encoder re-ranker")
    )
    base = figures("table7", objective="BERT-base (no further pre-training)")
    return Table(
        name="table2",
        title="Table 2: main results",
        rows=[
            RowSpec("bm25", "BM25 (k1 0.9, b 0.4)", "sparse", lambda runs: runs.bm25(), bm25),
            RowSpec("bm25-tuned", "BM25, tuned on valid", "sparse", lambda runs: runs.bm25_tuned()),
            RowSpec("random", "random init, Retriever1", "dense", lambda runs: runs.retriever1("random")),
            RowSpec("base", "no further pre-training, Retriever1", "dense", lambda runs: runs.retriever1("base"), base),
            RowSpec(
                "base-distilled",
                "no further pre-training, distilled",
                "dense",
                lambda runs: runs.distilled("base"),
                note=SAME_TEACHER,
            ),
            RowSpec("simlm-1", "SimLM, Retriever1", "dense", lambda runs: runs.retriever1("simlm"), first),
            RowSpec("simlm-2", "SimLM, Retriever2", "dense", lambda runs: runs.retriever2(), second),
            RowSpec("reranker", "SimLM, re-ranker", "reranker", lambda runs: runs.reranked(), reranked),
            RowSpec("simlm", "SimLM, distilled", "dense", lambda runs: runs.distilled("simlm"), simlm),
            RowSpec("fusion", "BM25 + SimLM distilled, fused", "fusion", lambda runs: runs.fusion()),
        ],
        paper_only=[
            PaperRow(f"paper-{row.model.lower()}", row.model, row.family, figures("table2", model=row.model))
            for row in published("table2").itertuples()
            if row.model not in ("BM25", "SimLM")
        ],
        baselines=("bm25", "base", "base-distilled"),
        orders=[
            Order("base", "simlm-1", "Table 7"),
            Order("simlm-1", "simlm-2", "Table 6"),
            Order("simlm-2", "simlm", "Table 6", with_teacher=True),
            Order("simlm", "reranker", "Table 6", with_teacher=True),
            Order("bm25", "simlm", "Table 2"),
        ],
        beside=_beside,
        released=ReleasedRows([*systems_in("table2"), system("simlm-1"), system("simlm-reranker")], MSMARCO),
    )


def _beside(scale: Scale) -> list[RowSpec]:
    """Return the reference where anything starts from it; beside a re-ranker from it, or from its layers, SimLM's."""
    label = f"{MINILM_AS_PUBLISHED.label}, as published"
    note = MINILM_AS_PUBLISHED.note
    reference = RowSpec(MINILM, label, "dense", lambda runs: runs.minilm_as_published(), note=note, reference=True)
    own = RowSpec("reranker-simlm", "SimLM, re-ranker from SimLM", "reranker", lambda runs: runs.reranked("simlm"))
    if scale.reranker_start == MINILM or scale.encoder == REPOSITORY:
        return [own, reference]
    return [reference] if lacks_minilm(scale) else []


if __name__ == "__main__":
    table_command(table2(), __doc__)
