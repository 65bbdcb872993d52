"""Table 7: pre-training objectives under the same fine-tuning, Retriever1.

`python -m repro.table7 --help` lists the options.
"""

from repro.command import Options, main
from repro.run import run_table
from repro.table import MRR, Table, falling, figures, retriever1

DESCRIPTION = """Table 7 of SimLM (Wang et al., ACL 2023): pre-training objectives, each fine-tuned as Retriever1.

Every objective starts from the same base model and gets the same number of updates.

Examples:
  python -m repro.table7                    the whole table at mini scale
  python -m repro.table7 --scale smoke      the same in small
  python -m repro.table7 --rows simlm mlm   two objectives
"""

PAPER = {
    "simlm": "SimLM (replaced LM)",
    "enc-dec-mlm": "Enc-Dec MLM",
    "condenser": "Condenser",
    "mlm": "MLM",
    "enc-dec-rtd": "Enc-Dec RTD",
    "base": "BERT-base (no further pre-training)",
    "autoencoder": "AutoEncoder",
}
"""The paper's rows by start, best first."""
LABELS = {"base": "no further pre-training"}
OTHERS = {"random": "random init", "retromae": "RetroMAE", "cocondenser": "coCondenser"}
"""Rows that the paper's table does not have."""


def table7() -> Table:
    """The paper's objectives in its order, then the rows that it does not have."""
    rows = [
        retriever1(start, LABELS.get(start, name), figures("table7", MRR, objective=name))
        for start, name in PAPER.items()
    ]
    rows += [retriever1(start, f"{label} (not in the paper)") for start, label in OTHERS.items()]
    return Table(
        name="table7",
        title="Table 7: pre-training objectives",
        rows=rows,
        baselines=("base", "simlm"),
        columns=MRR,
        orders=falling(list(PAPER), "Table 7"),
    )


def run(options: Options) -> None:
    """Measure the chosen rows and write the report."""
    run_table(table7(), options)


if __name__ == "__main__":
    main(run, DESCRIPTION)
