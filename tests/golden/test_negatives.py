"""Each epoch takes the same positive and negatives as the released code."""

import re

import pytest

from tests.golden.project import groups_of_epoch, lists_as_given, lists_from_answers, pairs_of_epochs
from tests.golden.values import GOLDEN

WINDOWS: dict[str, list[int]] = GOLDEN["windows"]
POSITIVES, NEGATIVES = GOLDEN["windows_input"]["positives"], GOLDEN["windows_input"]["negatives"]


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_of_negatives(name: str) -> None:
    """Only the sum of epoch and seed matters. A window that reaches the end of a list goes on at its start."""
    negatives, offset, first = re.fullmatch(r"n(\d+)_off(\d+)_first(True|False)", name).groups()
    group, total = int(negatives) + 1, int(offset)
    passages = [[[int(passage) for passage in row["doc_id"]] for row in side] for side in (POSITIVES, NEGATIVES)]
    if first == "True":
        scores = [own["score"] + others["score"] for own, others in zip(POSITIVES, NEGATIVES, strict=True)]
        lists = lists_from_answers(*passages, scores)
    else:
        lists = lists_as_given(*passages)
    for epoch in sorted({0, total // 2, total}):
        assert groups_of_epoch(lists, epoch, total - epoch, group) == WINDOWS[name]
    pairs = {(place // group, passage) for place, passage in enumerate(WINDOWS[name])}
    assert pairs_of_epochs(lists, 1, total, group) == pairs
