"""Table 12: the generator frozen, or learning beside the encoder, Retriever1.

`python -m repro.table12 --help` lists the options.
"""

from reports.model import MAIN_COLUMNS
from repro.command import Options, main
from repro.run import run_table
from repro.table import Table, figures, retriever1

DESCRIPTION = """Table 12 of SimLM (Wang et al., ACL 2023): variants of the generator, each fine-tuned as Retriever1.

Examples:
  python -m repro.table12                    the whole table at mini scale
  python -m repro.table12 --scale smoke      the same in small
"""

PAPER = {"simlm": "frozen generator", "joint": "joint train", "joint-random": "joint train w/ random init"}
"""The paper's rows by start."""


COLUMNS = [column for column in MAIN_COLUMNS if column.key in ("mrr10", "r1k")]


def table12() -> Table:
    """The paper's three rows; it finds no difference between them, so no order is tested."""
    rows = [retriever1(start, name, figures("table12", COLUMNS, generator=name)) for start, name in PAPER.items()]
    return Table(name="table12", title="Table 12: the generator", rows=rows, baselines=("simlm",), columns=COLUMNS)


def run(options: Options) -> None:
    """Measure the chosen rows and write the report."""
    run_table(table12(), options)


if __name__ == "__main__":
    main(run, DESCRIPTION)
