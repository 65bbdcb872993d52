"""Table 8: replace rates of the encoder's and the decoder's input, Retriever1.

`python -m repro.table8 --help` lists the options.
"""

from ablations.starts import OWN_RATES, RATES, rates_name
from reports.assess import Order
from repro.command import Options, main
from repro.run import run_table
from repro.table import MRR, RowSpec, Table, figures, retriever1

DESCRIPTION = """Table 8 of SimLM (Wang et al., ACL 2023): replace rates, each fine-tuned as Retriever1.

Examples:
  python -m repro.table8                          the whole table at mini scale
  python -m repro.table8 --scale smoke            the same in small
  python -m repro.table8 --rows simlm-30-100      one pair of rates
"""

OWN = rates_name(*OWN_RATES)


def table8() -> Table:
    """All six pairs; the paper's own is what the others are compared with."""
    rows = [_row(encoder, decoder) for encoder, decoder in RATES]
    return Table(
        name="table8",
        title="Table 8: replace rates",
        rows=rows,
        baselines=(OWN,),
        columns=MRR,
        orders=[Order(row.key, OWN, "Table 8") for row in rows if row.key != OWN and _below(row)],
    )


def _below(row: RowSpec) -> bool:
    """Whether the paper has the pair below its own: 40/60 has the same figure."""
    own = figures("table8", MRR, encoder_replace_rate=30, decoder_replace_rate=50)
    return row.published is not None and row.published["mrr10"] < own["mrr10"]


def _row(encoder: float, decoder: float) -> RowSpec:
    key = rates_name(encoder, decoder)
    where = {"encoder_replace_rate": round(100 * encoder), "decoder_replace_rate": round(100 * decoder)}
    label = f"encoder {encoder:.0%}, decoder {decoder:.0%}"
    return retriever1("simlm" if key == OWN else key, label, figures("table8", MRR, **where), key)


def run(options: Options) -> None:
    """Measure the chosen rows and write the report."""
    run_table(table8(), options)


if __name__ == "__main__":
    main(run, DESCRIPTION)
