"""Choosing and collecting the queries that a report shows."""

from pathlib import Path

import pandas as pd

from reports.facts import CasePassage
from repro.query_examples import collect_cases, disagreements


def test_disagreements_take_turns_and_do_not_depend_on_order() -> None:
    queries = ["a", "b", "c", "d", "e"]
    one = pd.DataFrame({"RR@10": [1.0, 0.0, 0.5, 1.0, 0.2]}, index=queries)
    other = pd.DataFrame({"RR@10": [0.0, 1.0, 0.5, 0.0, 0.1]}, index=queries)
    assert disagreements(one, other, "RR@10", 3) == ["a", "b", "d"]
    assert disagreements(one.iloc[::-1], other, "RR@10", 9) == ["a", "b", "d", "e"]


def test_cases_show_the_top_passages_and_the_first_relevant_rank(tmp_path: Path) -> None:
    run, empty = tmp_path / "run.trec", tmp_path / "empty.trec"
    lines = [f"q1 Q0 p{i} {i} {9 - i} tag" for i in (1, 2, 3)] + [
        "q10 Q0 p3 1 1 tag",
        "q2\tQ0\tp1\t1\t1\ttag",
    ]
    run.write_text("\n".join(lines) + "\n", encoding="utf-8")
    empty.write_text("", encoding="utf-8")
    relevant = {"q1": ["p2", "p9"], "q2": ["p1"]}
    asked: list[set[str]] = []

    def texts(ids: set[str]) -> dict[str, str]:
        asked.append(set(ids))
        return {id: f"passage {id}" for id in ids}

    first, second = collect_cases(
        ["q1", "q2"],
        {"simlm": run, "bm25": empty},
        relevant,
        "query {}".format,
        texts,
        shown=2,
    )
    assert asked == [{"p1", "p2", "p9"}], "all at once, and no other"
    assert first.query == "query q1"
    assert [passage.id for passage in first.relevant] == ["p2", "p9"]
    ours, theirs = first.results
    assert ours.passages == [CasePassage("p1", "passage p1", False), CasePassage("p2", "passage p2", True)]
    assert (ours.first_relevant_rank, theirs.first_relevant_rank, theirs.passages) == (2, None, [])
    assert second.results[0].first_relevant_rank == 1
