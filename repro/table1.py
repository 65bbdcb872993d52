"""Table 1: the pre-trained language model under the bi-encoder, each fine-tuned as Retriever1.

Below paper scale the three are models of one size that begin with the word vectors of the corpus, and are fine-tuned
with the same settings: BERT's stand-in reads WordPiece, RoBERTa's byte-level BPE without segments, and ELECTRA's is
BERT's after a short training by replaced token detection. GLUE is quoted, never measured.
"""

from reports.model import Column
from repro.run import table_command
from repro.table import BERT_LIKE, Table, falling, figures, retriever1

MODELS = {
    "base": ("BERT", BERT_LIKE),
    "roberta": ("RoBERTa", "RoBERTa-like (word vectors, byte-level BPE)"),
    "electra": ("ELECTRA", "ELECTRA-like (word vectors, then RTD)"),
}
"""The paper's name of each start, best retriever first, and the label of its stand-in below paper scale."""
MRR_AND_GLUE = (Column("ms_marco_mrr10", "MS MARCO dev", "MRR@10", "RR@10"), Column("glue", "GLUE", "average"))


def table1() -> Table:
    """Return the paper's three models in its order of MRR@10, which is not that of GLUE."""
    return Table(
        name="table1",
        title="Table 1: pre-trained language models as retrievers",
        rows=[
            retriever1(start, label, figures("table1", MRR_AND_GLUE, model=model), public=f"{model}-base")
            for start, (model, label) in MODELS.items()
        ],
        baselines=("base",),
        columns=MRR_AND_GLUE,
        orders=falling(list(MODELS), "Table 1"),
    )


if __name__ == "__main__":
    table_command(table1(), __doc__)
