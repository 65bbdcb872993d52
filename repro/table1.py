"""Table 1: the pre-trained language model under the bi-encoder.

`python -m repro.table1 --help` lists the options.
"""

from reports.model import Column
from repro.command import Options, main
from repro.run import run_table
from repro.table import Table, falling, figures, retriever1

DESCRIPTION = """Table 1 of SimLM (Wang et al., ACL 2023): the language model under the bi-encoder, Retriever1.

Below paper scale the three are models of one size, trained on the corpus in the manner of BERT (MLM), RoBERTa (MLM,
no segments, byte-level BPE) and ELECTRA (replaced token detection) with the same number of updates, and fine-tuned
with the same settings. GLUE is quoted, never measured.

Examples:
  python -m repro.table1                    the whole table at mini scale
  python -m repro.table1 --scale smoke      the same in small
"""

PAPER = {"base": "BERT", "roberta": "RoBERTa", "electra": "ELECTRA"}
"""The paper's rows by start, best retriever first."""
LABELS = {
    "base": "BERT-like (MLM)",
    "roberta": "RoBERTa-like (MLM, byte-level BPE)",
    "electra": "ELECTRA-like (RTD)",
}
PUBLIC = {"base": "BERT-base", "roberta": "RoBERTa-base", "electra": "ELECTRA-base"}
"""What they are called where they are the paper's."""
COLUMNS = (Column("ms_marco_mrr10", "MS MARCO dev", "MRR@10", "RR@10"), Column("glue", "GLUE", "average"))


def table1() -> Table:
    """The paper's three models in its order of MRR@10, which is not that of GLUE."""
    return Table(
        name="table1",
        title="Table 1: pre-trained language models as retrievers",
        rows=[
            retriever1(start, LABELS[start], figures("table1", COLUMNS, model=name), public=PUBLIC[start])
            for start, name in PAPER.items()
        ],
        baselines=("base",),
        columns=COLUMNS,
        orders=falling(list(PAPER), "Table 1"),
    )


def run(options: Options) -> None:
    """Measure the chosen rows and write the report."""
    run_table(table1(), options)


if __name__ == "__main__":
    main(run, DESCRIPTION)
