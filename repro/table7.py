"""Table 7: pre-training objectives, each fine-tuned as Retriever1.

Every objective starts from the same base model and gets the same number of updates.
"""

from ablations.starts import COMPARED
from repro.run import table_command
from repro.table import MRR, Table, falling, figures, retriever1

IN_PAPER = ("simlm", "enc-dec-mlm", "condenser", "mlm", "enc-dec-rtd", "base", "autoencoder")
"""The starts that the paper compares, best first."""
NAMES = {
    "simlm": "SimLM (replaced LM)",
    "base": "BERT-base (no further pre-training)",
    "random": "random init",
} | {start: objective.label for start, objective in COMPARED.items()}
"""The name of each start, as the paper prints it if it does."""


def table7() -> Table:
    """Return the paper's objectives in its order of quality, then the rows that the paper does not have."""
    labels = NAMES | {"base": "no further pre-training"}
    rows = [retriever1(start, labels[start], figures("table7", MRR, objective=NAMES[start])) for start in IN_PAPER]
    others = ["random", *(start for start in COMPARED if start not in IN_PAPER)]
    rows += [retriever1(start, f"{NAMES[start]} (not in the paper)") for start in others]
    return Table(
        name="table7",
        title="Table 7: pre-training objectives",
        rows=rows,
        baselines=("base", "simlm"),
        columns=MRR,
        orders=falling(IN_PAPER, "Table 7"),
    )


if __name__ == "__main__":
    table_command(table7(), __doc__)
