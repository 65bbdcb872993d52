"""Table 12: the generator frozen, or learning beside the encoder, each fine-tuned as Retriever1."""

from repro.run import table_command
from repro.table import MRR_AND_R1K, Table, figures, retriever1

GENERATORS = {"simlm": "frozen generator", "joint": "joint train", "joint-random": "joint train w/ random init"}
"""What the paper calls the generator of each start."""


def table12() -> Table:
    """Return the paper's three rows. It finds no difference between them, so no order is tested."""
    return Table(
        name="table12",
        title="Table 12: the generator",
        rows=[
            retriever1(start, name, figures("table12", MRR_AND_R1K, generator=name))
            for start, name in GENERATORS.items()
        ],
        baselines=("simlm",),
        columns=MRR_AND_R1K,
    )


if __name__ == "__main__":
    table_command(table12(), __doc__)
