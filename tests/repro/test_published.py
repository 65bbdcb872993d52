"""The published figures: known ones, nothing lost on the way, unknown tables."""

import csv
from importlib.resources import files

import pytest

from repro.published import published
from simlm.errors import UserError

TABLES = [f"table{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13)] + ["nq"]


def test_known_figures() -> None:
    main = published("table2").set_index("model")
    assert main.loc["SimLM", ["mrr10", "r50", "r1k", "dl19_ndcg10", "dl20_ndcg10"]].tolist() == [
        41.1,
        87.8,
        98.7,
        71.4,
        69.7,
    ]
    assert main.at["BM25", "mrr10"] == 18.5
    assert len(main) == 17
    stages = published("table6")
    assert stages[stages["model"] == "SimLM"]["mrr10"].tolist() == [38.0, 39.1, 41.1, 43.7]
    objectives = published("table7").set_index("objective")["mrr10"]
    assert objectives["AutoEncoder"] == 32.8
    assert objectives["Enc-Dec RTD"] == 36.2
    assert objectives["BERT-base (no further pre-training)"] == 33.7
    assert published("table10")["pretraining_corpus"].tolist() == ["none", "MS-MARCO", "Wikipedia"]
    assert published("table4").set_index("model").loc["SimLM"].tolist() == [85.2, 89.7]


@pytest.mark.parametrize("table", TABLES)
def test_every_printed_cell_is_there_and_only_blanks_are_missing(table: str) -> None:
    frame = published(table)
    text = files("repro.published").joinpath(f"{table}.csv").read_text(encoding="utf-8")
    cells = list(csv.DictReader(text.splitlines()))
    assert len(cells) == len(frame)
    for row, (_, values) in zip(cells, frame.iterrows(), strict=True):
        for column, cell in row.items():
            value = values[column]
            if cell == "":
                assert value != value
            elif isinstance(value, str):
                assert value == cell
            else:
                assert float(value) == float(cell)


def test_effectiveness_columns_are_numbers() -> None:
    for table in TABLES:
        for column, dtype in published(table).dtypes.items():
            if str(column).startswith(("mrr", "r50", "r1k", "r20", "r100", "dl", "ms_marco_", "nq_")):
                assert dtype.kind in "fi", (table, column)


def test_an_unknown_table_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(UserError, match="table9; known are nq, claims, table1, .*table13"):
        published("table9")
