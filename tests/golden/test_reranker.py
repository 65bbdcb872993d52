"""The re-ranker computes the released scores and losses, padded and packed."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from tests.golden.project import RerankerRun, padded_by_project, r_drop_listwise_loss, top_1_accuracy
from tests.golden.values import RERANKER, assert_same, tensors, texts

PAIRS = RERANKER["x"]
QUERIES, GROUP = np.array(RERANKER["all_logits"]).shape
RESULTS = RERANKER["results"]
WITH_R_DROP = [name for name in RESULTS if name.endswith("rdropTrue")]


def test_the_first_pair_of_a_group_is_the_positive() -> None:
    assert PAIRS["labels"] == [0] * QUERIES


def kept(name: str) -> int:
    """How many pairs of a group are trained on: the released "factor" divides their number."""
    return GROUP // int(re.fullmatch(r"factor(\d)_rdrop(?:True|False)", name)[1])


@pytest.mark.parametrize("pieces", [1, 4])
def test_scores_padded(pieces: int) -> None:
    scores = RerankerRun().score_padded(tensors(PAIRS), pieces)
    assert_same(scores.view(QUERIES, GROUP), RERANKER["all_logits"])


def test_scores_in_a_batch_that_the_project_pads() -> None:
    """It is wider than the released one."""
    batch = padded_by_project(texts(PAIRS))
    assert batch["input_ids"].shape[1] % 8 == 0
    assert_same(RerankerRun().score_padded(batch).view(QUERIES, GROUP), RERANKER["all_logits"])


@pytest.mark.parametrize("filled", [False, True])
def test_scores_packed(filled: bool) -> None:
    scores = RerankerRun(packed=True).score_packed(texts(PAIRS), filled)
    assert_same(scores.view(QUERIES, GROUP), RERANKER["all_logits"])


@pytest.mark.parametrize("name", RESULTS)
def test_losses_padded(name: str) -> None:
    """With the positive and the best other passages kept. With dropout 0 both passes of R-Drop are equal."""
    released, keep = RESULTS[name], kept(name)
    run = RerankerRun()
    run.train(name in WITH_R_DROP)
    outputs = run.losses_padded(PAIRS, GROUP, keep)
    assert_same(outputs["loss"], released["loss"])
    assert_same(outputs["scores"], torch.tensor(released["logits"]))
    assert outputs["accuracy"] == top_1_accuracy(torch.tensor(released["logits"]))


@pytest.mark.parametrize(("max_tokens", "parts"), [(10_000, 1), (1, QUERIES)], ids=["one part", "one for each query"])
@pytest.mark.parametrize("name", WITH_R_DROP)
def test_losses_packed(name: str, max_tokens: int, parts: int) -> None:
    rows = texts(PAIRS)
    groups = [rows[GROUP * i : GROUP * (i + 1)] for i in range(QUERIES)]
    outputs = RerankerRun(packed=True).losses_packed(groups, kept(name), max_tokens)
    assert len(outputs) == parts
    assert_same(torch.stack([one["loss"] for one in outputs]).sum(), RESULTS[name]["loss"])
    assert_same(torch.cat([one["scores"] for one in outputs]), RESULTS[name]["logits"])


@pytest.mark.parametrize("name", RESULTS)
def test_losses_of_the_released_scores(name: str) -> None:
    """Without any model. R-Drop of two equal passes is the listwise loss."""
    logits = torch.tensor(RESULTS[name]["logits"])
    assert_same(r_drop_listwise_loss(logits, logits), RESULTS[name]["loss"])


def test_r_drop_of_two_different_passes() -> None:
    """Not from the released code: against torch's own cross-entropy and divergence."""
    first, second = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logs = [one.log_softmax(dim=1) for one in (first, second)]
    divergence = nn.KLDivLoss(reduction="batchmean", log_target=True)
    entropy, labels = nn.CrossEntropyLoss(), torch.zeros(5, dtype=torch.int64)
    expected = 0.5 * (entropy(first, labels) + entropy(second, labels))
    expected += 0.5 * (divergence(*logs) + divergence(*reversed(logs)))
    assert_same(r_drop_listwise_loss(first, second), expected)


@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
def test_scores_with_gelu(packed: bool) -> None:
    """Not from the released code: the head as it is, against the whole model of transformers."""
    run = RerankerRun(packed, gelu=True)
    run.train(False)
    expected = run.logits_of_transformers(PAIRS)
    ours = run.score_packed(texts(PAIRS)) if packed else run.score_padded(tensors(PAIRS))
    assert_same(ours, expected)
