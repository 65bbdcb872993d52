"""Marks: how near a published checkpoint's figures come to those that were printed for it."""

import dataclasses

import pytest

from reports.assess import marks
from reports.model import MAIN_COLUMNS, CollectionFacts, Column, Estimate, Group, Mark, Report, Row
from reports.render import render


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [(41.1, "met"), (41.2, "met"), (41.0, "met"), (41.3, "close"), (40.6, "close"), (41.6, "close"), (40.5, "off")],
)
def test_met_is_within_a_tenth_and_close_within_a_half(measured: float, verdict: str) -> None:
    assert Mark("simlm", "mrr10", measured, 41.1).verdict == verdict


def report() -> Report:
    facts = CollectionFacts("msmarco", "test", 3, 2)
    judged = dataclasses.replace(facts, split="trec-dl-2019")
    rows = [
        Row("simlm", "SimLM", measured=_of({"RR@10": 0.41149}), published={"mrr10": 41.1, "r50": 87.8}, group="test"),
        Row("dl", "SimLM", measured=_of({"nDCG@10": 0.7}), published={"dl19_ndcg10": 71.4, "mrr10": 1.0}, group="dl"),
        Row("other", "Other", published={"mrr10": 33.0}, group="test"),
    ]
    dl19 = Column("dl19_ndcg10", "TREC DL 19", "nDCG@10", "nDCG@10")
    groups = [
        Group("test", facts, ["RR@10"], list(MAIN_COLUMNS[:2]), []),
        Group("dl", judged, ["nDCG@10"], [dl19], []),
    ]
    return Report("Table 2", "paper", facts, rows, ["RR@10"], groups=groups, ordered=False)


def _of(values: dict[str, float]) -> dict[str, Estimate]:
    return {name: Estimate(value, value, value) for name, value in values.items()}


def test_each_group_is_marked_by_its_own_columns_where_both_have_a_figure() -> None:
    assert marks(report()) == [Mark("simlm", "mrr10", 41.1, 41.1), Mark("dl", "dl19_ndcg10", 70.0, 71.4)]


def test_the_page_and_its_twin_say_what_was_met_and_whether_that_is_fair() -> None:
    whole = report()
    assert "Measured beside published" not in render(whole, "table2")
    whole.marks = marks(whole)
    page = render(whole, "table2")
    assert "| SimLM | MS MARCO dev MRR@10 | 41.1 | 41.1 | +0.0 | **met** |" in page
    assert "| SimLM | TREC DL 19 nDCG@10 | 70.0 | 71.4 | −1.4 | **off** |" in page
    assert "This is not the collection that the published figures are of" in page
    whole.comparable = True
    assert "This is not the collection" not in render(whole, "table2")
    assert [(one["verdict"], one["difference"]) for one in whole.as_dict()["marks"]] == [("met", 0.0), ("off", -1.4)]
