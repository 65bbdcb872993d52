"""Table 8: replace rates of the encoder's and the decoder's input, each fine-tuned as Retriever1."""

from ablations.starts import OWN_RATES, RATES, rates_name
from reports.assess import Order
from repro.run import table_command
from repro.table import MRR, RowSpec, Table, figures, retriever1

OWN = rates_name(*OWN_RATES)
"""The key of the row with the rates that the paper chose."""


def table8() -> Table:
    """Return all six pairs of rates; a pair is expected below the paper's own if its printed figure is lower."""
    rows = {rates_name(*rates): _row(*rates) for rates in RATES}
    mrr = {key: (row.published or {})["mrr10"] for key, row in rows.items()}
    return Table(
        name="table8",
        title="Table 8: replace rates",
        rows=list(rows.values()),
        baselines=(OWN,),
        columns=MRR,
        orders=[Order(key, OWN, "Table 8") for key in rows if mrr[key] < mrr[OWN]],
    )


def _row(encoder: float, decoder: float) -> RowSpec:
    key = rates_name(encoder, decoder)
    published = figures(
        "table8", MRR, encoder_replace_rate=round(100 * encoder), decoder_replace_rate=round(100 * decoder)
    )
    label = f"encoder {encoder:.0%}, decoder {decoder:.0%}"
    return retriever1("simlm" if key == OWN else key, label, published, key)


if __name__ == "__main__":
    table_command(table8(), __doc__)
