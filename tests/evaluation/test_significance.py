"""Intervals, tests and corrections against closed forms and published examples."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from simlm.evaluation.significance import (
    Improvement,
    Resampled,
    bootstrap_means,
    compare,
    effect_ratio,
    holm,
    paired_test,
)


def test_bootstrap_means_are_means_of_resampled_queries() -> None:
    values = np.array([[0.0, 1.0], [1.0, 3.0], [0.5, 2.0]])
    means = bootstrap_means(values, resamples=500, seed=1)
    assert means.shape == (500, 2)
    # the second column is 1 + 2 x the first: it must hold in every resample, for they share queries
    np.testing.assert_allclose(means[:, 1], 1 + 2 * means[:, 0])
    assert set(np.round(means[:, 0] * 6).astype(int)) <= set(range(7))


def test_bootstrap_in_blocks_equals_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((30, 2))
    whole = bootstrap_means(values, resamples=200, seed=4)
    monkeypatch.setattr("simlm.evaluation.significance._DRAWS_AT_ONCE", 30 * 7)
    np.testing.assert_allclose(bootstrap_means(values, resamples=200, seed=4), whole)


def test_bootstrap_interval_approaches_the_normal_one() -> None:
    values = np.random.default_rng(5).random(2000)
    frame = pd.DataFrame({"mean": values})
    resampled = Resampled(frame, seed=6)
    low, high = resampled.interval("mean")
    half = 1.96 * values.std() / np.sqrt(2000)
    assert low == pytest.approx(values.mean() - half, abs=half * 0.05)
    assert high == pytest.approx(values.mean() + half, abs=half * 0.05)
    assert Resampled(frame, seed=6).interval("mean") == (low, high)
    assert resampled.interval("mean", level=0.5)[0] > low


def test_bootstrap_without_queries_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one query"):
        bootstrap_means(np.empty((0, 1)))


def test_paired_test_is_the_t_test_of_the_differences() -> None:
    # Student (1908), hours of sleep gained by two drugs: t = -4.0621, p = 0.002833
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    assert paired_test(first, second) == pytest.approx(0.002833, abs=5e-7)
    differences = first - second
    t = differences.mean() / (differences.std(ddof=1) / np.sqrt(10))
    assert paired_test(first, second) == pytest.approx(2 * stats.t.sf(abs(t), 9))


def test_nothing_to_test_gives_one() -> None:
    assert paired_test(np.array([0.5, 0.2]), np.array([0.5, 0.2])) == 1
    assert paired_test(np.array([0.5]), np.array([0.2])) == 1
    with pytest.raises(ValueError, match="same queries"):
        paired_test(np.array([0.5]), np.array([0.2, 0.3]))


def test_holm_on_a_published_example() -> None:
    # the worked example of Wikipedia's "Holm-Bonferroni method"; adjusted values as R's p.adjust gives them
    adjusted = holm({"H1": 0.01, "H2": 0.04, "H3": 0.03, "H4": 0.005})
    assert adjusted == pytest.approx({"H1": 0.03, "H2": 0.06, "H3": 0.06, "H4": 0.02})
    assert list(adjusted) == ["H1", "H2", "H3", "H4"]
    assert holm({"one": 0.6, "two": 0.7}) == {"one": 1.0, "two": 1.0}
    assert holm({}) == {}


def test_compare_reports_paired_differences_whatever_the_order() -> None:
    generator = np.random.default_rng(7)
    queries = pd.Index([f"q{i}" for i in range(400)], name="query_id")
    base = pd.DataFrame({"RR@10": generator.random(400)}, index=queries)
    better = (base + 0.1 + generator.normal(0, 0.05, (400, 1))).sample(frac=1, random_state=1)
    same = base.copy()
    table = compare({"base": base, "better": better, "same": same}, "base", "RR@10")

    assert list(table.index) == ["better", "same"]
    assert table.at["better", "difference"] == pytest.approx(0.1, abs=0.01)
    # paired: the interval is that of the differences, far narrower than that of either row
    assert table.at["better", "high"] - table.at["better", "low"] < 0.015
    assert table.at["better", "p_holm"] < 1e-6
    assert table.at["better", "p_holm"] == pytest.approx(2 * table.at["better", "p"])
    assert table.loc["same"].tolist() == [0, 0, 0, 1, 1]


def test_compare_refuses_different_queries() -> None:
    one = pd.DataFrame({"RR@10": [1.0]}, index=["a"])
    two = pd.DataFrame({"RR@10": [1.0]}, index=["b"])
    with pytest.raises(ValueError, match="different queries"):
        compare({"one": one, "two": two}, "one", "RR@10")


def test_effect_ratio_is_measured_over_published_improvement() -> None:
    # Table 7: BERT-base 33.7, SimLM 38.0
    published = Improvement(baseline=0.337, advanced=0.380)
    assert effect_ratio(published, published) == pytest.approx(1)
    assert effect_ratio(published, Improvement(0.20, 0.2215)) == pytest.approx(0.5)
    assert effect_ratio(published, Improvement(0.2215, 0.20)) == pytest.approx(-0.5)
    assert effect_ratio(Improvement(0.3, 0.3), published) is None
