"""What a report says of per-query values."""

import dataclasses

import pandas as pd
import pytest

from reports.assess import Order, assess
from reports.model import Report
from simlm.evaluation.significance import Resampled, compare, paired_test


def test_estimates_are_means_with_their_intervals(report: Report, values: dict[str, pd.DataFrame]) -> None:
    estimate = (report.row("simlm").measured or {})["R@50"]
    assert estimate.mean == pytest.approx(values["simlm"]["R@50"].mean())
    alone = Resampled(values["simlm"][["R@50"]]).interval("R@50")
    assert (estimate.low, estimate.high) == pytest.approx(alone)
    assert report.row("ance").measured is None


def test_comparisons_are_those_of_the_library(report: Report, values: dict[str, pd.DataFrame]) -> None:
    for baseline in report.baselines:
        table = compare(values, baseline, "RR@10")
        for name, line in table.iterrows():
            found = report.comparison(str(name), baseline, "RR@10")
            assert found is not None
            mine = [found.difference, found.low, found.high, found.p, found.p_holm]
            assert mine == pytest.approx(line.tolist())
    assert report.comparison("bm25", "bm25", "RR@10") is None


def test_claims_say_what_reproduced_and_what_did_not(report: Report, values: dict[str, pd.DataFrame]) -> None:
    kept, broken = report.claims  # ANCE was not measured: its order can't be checked
    assert (kept.lower, kept.higher, kept.verdict) == ("base", "simlm", "reproduced")
    assert (broken.lower, broken.higher, broken.verdict) == ("bm25", "simlm", "contradicted")
    gain = values["simlm"]["RR@10"].mean() - values["base"]["RR@10"].mean()
    assert kept.effect_ratio == pytest.approx(gain / (0.411 - 0.337))
    assert broken.effect_ratio is not None and broken.effect_ratio < 0
    smallest = paired_test(values["simlm"]["RR@10"].to_numpy(), values["bm25"]["RR@10"].to_numpy())
    assert broken.comparison.p == pytest.approx(smallest)
    assert broken.comparison.p_holm >= broken.comparison.p


def test_contradictions_are_said_in_words(report: Report) -> None:
    first, second = report.contradictions
    assert first.startswith("RR@10: BM25 | default is above these rows here and below them in the paper: ")
    assert "no further pre-training (here 0." in first and ", paper 18.5 to 33.7); SimLM (here 0." in first
    assert second.startswith("R@50: BM25 | default") and "SimLM" in second


def test_a_missing_baseline_and_an_order_with_it_are_skipped(report: Report, values: dict[str, pd.DataFrame]) -> None:
    assess(report, {"simlm": values["simlm"]}, [Order("base", "simlm", "Table 7")])
    assert report.comparisons == [] and report.claims == []
    assert report.row("simlm").measured is not None


def test_a_reference_is_measured_and_changes_no_test(report: Report, values: dict[str, pd.DataFrame]) -> None:
    before = list(report.comparisons)
    report.rows.append(dataclasses.replace(report.row("simlm"), key="public", measured=None, reference=True))
    assess(report, values | {"public": values["simlm"]}, [])
    assert report.comparisons == before and report.row("public").measured == report.row("simlm").measured


def test_groups_are_assessed_alone_and_orders_corrected_together(
    grouped: Report, values: dict[str, pd.DataFrame]
) -> None:
    """The second group's rows answer other queries, so comparing them with the first's would raise."""
    assert {(one.row, one.baseline) for one in grouped.comparisons} == {("simlm", "base"), ("simlm-2", "base-2")}
    assert {one.measure for one in grouped.comparisons if one.row == "simlm-2"} == {"R@50"}
    found = grouped.comparison("simlm", "base", "RR@10")
    assert found is not None and found.p_holm == pytest.approx(compare(values, "base", "RR@10").loc["simlm", "p"])
    assert [(one.lower, one.higher) for one in grouped.claims] == [("base", "simlm"), ("base-2", "simlm-2")]
    p = [one.comparison.p for one in grouped.claims]
    assert [one.comparison.p_holm for one in grouped.claims] == pytest.approx(
        [min(1, max(2 * min(p), value if value > min(p) else 0)) for value in p]
    )
    assert grouped.claims[1].comparison.measure == "R@50" and grouped.claims[1].published_higher == 84.3
    assert grouped.statistics["queries"] == {"toy": 60, "second": 60}
